//! What CUDA needs beside ONNX Runtime, and what to say when that is missing.

use std::path::{Path, PathBuf};

use super::ModelError;
use super::locate::entries;

const GET_PACKAGE: &str = "install it with `pip uninstall onnxruntime && pip install \
                           'onnxruntime-gpu[cuda,cudnn]'` in the same Python environment";
const GET_LIBRARIES: &str = "install CUDA's libraries with `pip install \
                             'onnxruntime-gpu[cuda,cudnn]'` in the same Python environment";
const GET_DRIVER: &str = "check that `nvidia-smi` lists a GPU here, and install or update NVIDIA's \
                          driver if it should";

/// The library that comes with the driver: without it there is no GPU to use.
const DRIVER: &str = "libcuda.so";

/// CUDA libraries installed as Python packages beside the `onnxruntime` package that holds
/// `library`, in the order in which they must be loaded: the system's loader does not look there.
pub(super) fn libraries(library: &Path) -> Vec<PathBuf> {
    const ORDER: [&str; 8] = [
        "libcudart.so",
        "libnvJitLink.so",
        "libcublasLt.so",
        "libcublas.so",
        "libnvrtc.so",
        "libcurand.so",
        "libcufft.so",
        "libcudnn.so",
    ];
    // site-packages/onnxruntime/capi/libonnxruntime.so.1.x; above another folder anything may lie.
    let is_package = library.parent().is_some_and(|folder| folder.ends_with("onnxruntime/capi"));
    let Some(site) = library.ancestors().nth(3).filter(|_| is_package) else { return Vec::new() };
    let folders: Vec<PathBuf> =
        entries(&site.join("nvidia"), |_| true).iter().map(|package| package.join("lib")).collect();
    let named = |stem: &str| {
        let file = format!("{stem}.");
        folders.iter().flat_map(|folder| entries(folder, |name| name.starts_with(&file))).collect()
    };
    ORDER.iter().flat_map(|stem| -> Vec<PathBuf> { named(stem) }).collect()
}

/// The error for an ONNX Runtime without CUDA.
pub(super) fn no_provider(version: &str, library: &Path) -> ModelError {
    let problem = format!(
        "ONNX Runtime {version} at {} is built for the processor only; CUDA comes with the package \
         onnxruntime-gpu",
        library.display()
    );
    ModelError::NoCuda { problem, help: GET_PACKAGE }
}

/// The error for a CUDA that does not start: `words` are ONNX Runtime's own.
pub(super) fn not_started(words: &str) -> ModelError {
    let words = plain(words);
    match missing_library(words) {
        Some(name) if name.starts_with(DRIVER) => ModelError::NoCuda {
            problem: format!("NVIDIA's driver is not installed: there is no {name}"),
            help: GET_DRIVER,
        },
        Some(name) => ModelError::NoCuda {
            problem: format!("a library it needs is not installed: there is no {name}"),
            help: GET_LIBRARIES,
        },
        None => ModelError::NoCuda { problem: words.to_owned(), help: GET_DRIVER },
    }
}

/// What an error of ONNX Runtime says, less the place in its source and its code:
/// `/src/x.cc:12 f() [ONNXRuntimeError] : 1 : FAIL : words`.
fn plain(words: &str) -> &str {
    let said = words.split_once("[ONNXRuntimeError]").map(|(_, rest)| rest);
    said.and_then(|rest| rest.splitn(4, " : ").nth(3)).unwrap_or(words).trim()
}

/// The file that the system's loader did not find.
fn missing_library(words: &str) -> Option<&str> {
    let before = words.split_once(": cannot open shared object file")?.0;
    before.rsplit([' ', ':']).next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(library: &str) -> String {
        format!(
            "/onnxruntime_src/provider_bridge_ort.cc:2043 Provider& Get() [ONNXRuntimeError] : 1 : \
             FAIL : Failed to load library /x/libonnxruntime_providers_cuda.so with error: \
             {library}: cannot open shared object file: No such file or directory\n"
        )
    }

    #[test]
    fn the_missing_library_decides_what_to_install() {
        let message = not_started(&words("libcublasLt.so.13")).to_string();
        assert!(message.contains("there is no libcublasLt.so.13"), "{message}");
        assert!(message.contains("onnxruntime-gpu[cuda,cudnn]"), "{message}");
        let message = not_started(&words("libcuda.so.1")).to_string();
        assert!(message.contains("driver is not installed"), "{message}");
        assert!(message.contains("nvidia-smi"), "{message}");
    }

    #[test]
    fn other_words_are_told_as_they_are_without_their_place() {
        let words = "a.cc:1 f() [ONNXRuntimeError] : 1 : FAIL : CUDA failure 100: no device\n";
        let message = not_started(words).to_string();
        assert!(message.contains("available: CUDA failure 100: no device; check"), "{message}");
        assert!(not_started("odd").to_string().contains("available: odd;"));
    }

    #[test]
    fn libraries_of_python_packages_are_found_in_loading_order() {
        let root = tempfile::tempdir().unwrap();
        let site = root.path();
        for name in ["nvidia/cu13/lib/libcublas.so.13", "nvidia/cudnn/lib/libcudnn.so.9"] {
            std::fs::create_dir_all(site.join(name)).unwrap();
        }
        std::fs::create_dir_all(site.join("nvidia/cu13/lib/libcudart.so.13")).unwrap();
        let found = libraries(&site.join("onnxruntime/capi/libonnxruntime.so.1.31.1"));
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["libcudart.so.13", "libcublas.so.13", "libcudnn.so.9"]);
        assert!(libraries(Path::new("libonnxruntime.so")).is_empty());
    }
}
