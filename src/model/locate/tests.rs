use super::*;

fn touch(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap().persist(path).unwrap();
}

/// What `pip install` leaves in a folder of packages.
fn wheel(site: &Path) -> PathBuf {
    let capi = site.join("onnxruntime/capi");
    for name in ["libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so"] {
        touch(&capi.join(name));
    }
    fs::create_dir_all(site.join("onnxruntime-1.32.0.dist-info")).unwrap();
    capi.join("libonnxruntime.so.1.32.0").canonicalize().unwrap()
}

fn site(prefix: &Path) -> PathBuf {
    prefix.join("lib/python3.11/site-packages")
}

fn around(root: &Path) -> Surroundings {
    Surroundings {
        executable: Some(root.join("prefix/bin/aqlens")),
        environments: vec![
            ("VIRTUAL_ENV", root.join("active")),
            ("CONDA_PREFIX", root.join("conda")),
        ],
        checkout: Some(root.join("prefix/bin")),
        shared: vec![("LD_LIBRARY_PATH", root.join("more")), ("the system", root.join("system"))],
        ..Surroundings::default()
    }
}

#[test]
fn environments_are_searched_in_the_documented_order() {
    let root = tempfile::tempdir().unwrap();
    let around = around(root.path());
    assert!(locate(None, &around).is_err());
    for place in ["system", "more"] {
        let library = root.path().join(place).join("libonnxruntime.so.1.17.0");
        touch(&library);
        assert_eq!(locate(None, &around).unwrap().path, library.canonicalize().unwrap());
    }
    for place in ["conda", "active", "prefix"] {
        let library = wheel(&site(&root.path().join(place)));
        assert_eq!(locate(None, &around).unwrap().path, library, "{place}");
    }
    // Below a checkout's `target` its `.venv` counts, after what was activated.
    let root = tempfile::tempdir().unwrap();
    let checkout = root.path().join("checkout");
    let mut around = around.clone();
    around.shared.clear();
    around.executable = Some(checkout.join("target/release/aqlens"));
    around.checkout = Some(checkout.clone());
    around.environments = vec![("VIRTUAL_ENV", root.path().join("active"))];
    for place in [checkout.join(".venv"), root.path().join("active")] {
        let library = wheel(&site(&place));
        assert_eq!(locate(None, &around).unwrap().path, library);
    }
}

#[test]
fn folders_that_somebody_else_may_fill_are_not_looked_at() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for prefix in [path(""), path(".venv"), path("downloads/.venv"), path("build/.venv")] {
        wheel(&site(&prefix));
        wheel(&prefix);
        touch(&prefix.join("libonnxruntime.so"));
    }
    let alone = |executable: &str| Surroundings {
        executable: Some(path(executable)),
        checkout: Some(path("home/checkout")),
        ..Surroundings::default()
    };
    // In a folder of programs that is none of an environment, or built into a shared folder.
    for executable in ["downloads/aqlens", "build/release/aqlens", "build/target/debug/aqlens"] {
        let tried = locate(None, &alone(executable)).unwrap_err().to_string();
        assert!(!tried.contains(".venv is"), "{tried}");
    }
    // Relative, they would be the working directory's.
    let mut around = alone("downloads/aqlens");
    around.environments = vec![("VIRTUAL_ENV", ".venv".into())];
    around.shared = vec![("LD_LIBRARY_PATH", "".into()), ("LD_LIBRARY_PATH", ".".into())];
    assert!(locate(None, &around).is_err());
}

#[test]
fn a_folder_that_pip_filled_is_an_environment() {
    let root = tempfile::tempdir().unwrap();
    let library = wheel(&root.path().join("prefix"));
    assert_eq!(locate(None, &around(root.path())).unwrap().path, library);
}

#[test]
fn a_named_library_is_the_only_place_looked_at() {
    let root = tempfile::tempdir().unwrap();
    wheel(&site(&root.path().join("active")));
    let mut around = around(root.path());
    let absent = root.path().join("absent.so");
    let message = locate(Some(&absent), &around).unwrap_err().to_string();
    assert!(message.contains("absent.so is not there"), "{message}");
    assert!(message.contains("pip install onnxruntime"), "{message}");
    let environment = root.path().join("other");
    let library = wheel(&site(&environment));
    for named in [library.as_path(), library.parent().unwrap(), &environment] {
        around.dylib = Some(named.as_os_str().to_owned());
        assert_eq!(locate(None, &around).unwrap().path, library);
    }
}

#[test]
fn what_was_looked_at_is_told() {
    let root = tempfile::tempdir().unwrap();
    let tried = locate(None, &around(root.path())).unwrap_err().to_string();
    for part in ["prefix", "VIRTUAL_ENV", "CONDA_PREFIX"] {
        assert!(tried.contains(part), "{part} not in:\n{tried}");
    }
}

#[test]
fn of_two_wheels_in_one_folder_the_one_whose_provider_is_there_is_taken() {
    let root = tempfile::tempdir().unwrap();
    let capi = root.path().join("onnxruntime/capi");
    for version in ["1.9.1", "1.31.1", "1.32.0"] {
        touch(&capi.join(format!("libonnxruntime.so.{version}")));
    }
    let taken = || {
        let name = in_folder(&capi)[0].file_name().unwrap().to_str().unwrap().to_owned();
        name.strip_prefix("libonnxruntime.so.").unwrap().to_owned()
    };
    assert_eq!(taken(), "1.32.0", "versions are numbers");
    fs::create_dir(root.path().join("onnxruntime-1.9.1.dist-info")).unwrap();
    assert_eq!(taken(), "1.9.1", "what pip says is installed");
    fs::create_dir(root.path().join("onnxruntime_gpu-1.31.1.dist-info")).unwrap();
    assert_eq!(taken(), "1.9.1", "without its provider the GPU's wheel is not whole");
    touch(&capi.join("libonnxruntime_providers_cuda.so"));
    assert_eq!(taken(), "1.31.1");
}
