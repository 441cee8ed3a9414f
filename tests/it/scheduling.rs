//! docs/scheduling.md and docs/many-machines.md: every snippet is taken from its page and, as far as that goes
//! without the service, run.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use aqlens::run_dir::record::{RunRecord, State};
use aqlens::store::Store;

use crate::support::pipeline::GOOD;
use crate::support::{Ended, aqlens_in, file, onnxruntime, put};

/// The fenced blocks of that language on the page about one machine, in order.
fn snippets(language: &str) -> Vec<String> {
    snippets_of("docs/scheduling.md", language)
}

/// Those of the page about many machines.
fn of_many(language: &str) -> Vec<String> {
    snippets_of("docs/many-machines.md", language)
}

fn snippets_of(page: &str, language: &str) -> Vec<String> {
    let page = fs::read_to_string(file(page)).unwrap();
    let opening = format!("```{language}\n");
    let blocks = page.split(&opening).skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// A folder like `/srv/aqlens` of the page, with a pipeline of three shards, an environment with ONNX Runtime
/// and nothing else; the program is in another folder.
struct Site {
    dir: tempfile::TempDir,
    bin: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let (dir, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(dir.path().join("pipelines")).unwrap();
        let model = file("tests/fixtures/tiny");
        let three =
            "ball: \"the red ball\"\n      cup: \"the cup\"\n      long: \"the blue table\"";
        let text =
            GOOD.replace("ball: \"the red ball\"", three).replace("MODEL", model.to_str().unwrap());
        let text = format!("shard_inputs: 1\n{text}");
        put(&dir.path().join("pipelines/nightly.yml"), text.as_bytes());
        let capi = dir.path().join(".venv/lib/python3.11/site-packages/onnxruntime/capi");
        fs::create_dir_all(&capi).unwrap();
        let library = onnxruntime();
        symlink(&library, capi.join(library.file_name().unwrap())).unwrap();
        symlink(env!("CARGO_BIN_EXE_aqlens"), bin.path().join("aqlens")).unwrap();
        Self { dir, bin }
    }

    /// The paths of the page, here.
    fn here(&self, text: &str) -> String {
        let text = text.replace("/usr/local/bin", self.bin.path().to_str().unwrap());
        text.replace("/srv/aqlens", self.dir.path().to_str().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program of the cluster that writes down what it is asked.
    fn stand_in(&self, name: &str, prints: &str) {
        let path = self.bin.path().join(name);
        let text = format!("#!/bin/sh\necho \"{name} $*\" >> calls\necho {prints}\n");
        put(&path, text.as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Has `shell` run `script` as cron would: from another folder, with a short path that does not have
    /// the program, and these variables.
    fn command(&self, shell: &str, script: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(shell);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/").current_dir("/");
        let variables = variables.iter().map(|(name, value)| (name, self.here(value)));
        command.envs(variables).args(["-c", &self.here(script)]);
        command
    }

    /// The same where the cluster's own programs are on the path.
    fn on_cluster(&self, script: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = self.command("bash", script, variables);
        command.env("PATH", format!("{}:/usr/bin:/bin", self.bin.path().display()));
        command.current_dir(self.dir.path());
        command
    }

    fn run(&self, shell: &str, script: &str, variables: &[(&str, &str)]) {
        let output = self.command(shell, script, variables).output().unwrap();
        let ended = Ended::from(output);
        assert_eq!(ended.code, 0, "{script}\n{}", ended.stderr);
    }

    /// Runs a script once for each share, all at once.
    fn run_shares<'v>(
        &self,
        shell: &str,
        script: &str,
        variables: impl Fn(&'v str) -> Vec<(&'v str, &'v str)>,
    ) {
        let children: Vec<_> = ["0", "1", "2"]
            .iter()
            .map(|k| {
                let mut command = self.command(shell, script, &variables(k));
                command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in children {
            let ended = Ended::from(child.wait_with_output().unwrap());
            assert_eq!(ended.code, 0, "{script}\n{}", ended.stderr);
        }
    }

    fn record(&self) -> RunRecord {
        RunRecord::read(&Store::open(&self.path("runs/nightly"))).unwrap()
    }

    fn is_finished(&self) {
        let record = self.record();
        assert_eq!((record.state, record.counts.shards), (State::Finished, 3));
    }
}

fn has_good_syntax(shell: &str, script: &str) {
    let mut command = Command::new(shell);
    let checked = command.args(["-n", "-c", script]).output().unwrap();
    assert!(checked.status.success(), "{script}\n{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn the_cron_line_runs_the_pipeline() {
    let [table] = snippets("cron").try_into().unwrap();
    let lines: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    let [variables @ .., line] = &lines[..] else { panic!("{table}") };
    let fields: Vec<&str> = line.splitn(6, ' ').collect();
    for (field, most) in fields[..5].iter().zip([59, 23, 31, 12, 7]) {
        assert!(*field == "*" || field.parse::<u32>().unwrap() <= most, "{field}");
    }
    assert!(!fields[5].contains('%'), "cron ends a command at `%`");
    let variables: Vec<(&str, &str)> = variables.iter().filter_map(|l| l.split_once('=')).collect();
    let site = Site::new();
    site.run("sh", fields[5], &variables);
    site.is_finished();
    let log = fs::read_to_string(site.path("runs/nightly.log")).unwrap();
    assert!(log.lines().last().unwrap().contains("\"exit_code\":0"), "{log}");
}

#[test]
fn the_systemd_units_hold_together_and_start_the_pipeline() {
    let [service, timer] = snippets("ini").try_into().unwrap();
    for unit in [&service, &timer] {
        let lines = unit.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let is_section = ["[Unit]", "[Service]", "[Timer]", "[Install]"].contains(&line);
            assert!(is_section || line.split_once('=').is_some(), "{line}");
        }
    }
    assert!(timer.contains("OnCalendar=*-*-* 02:30:00") && timer.contains("[Install]"));
    assert!(service.contains("SuccessExitStatus=3 130"));
    let start = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let arguments = start.strip_prefix("/usr/local/bin/aqlens ").unwrap();
    let site = Site::new();
    // systemd takes no shell, so no argument may need one.
    assert!(!arguments.contains(['$', '"', '\'', '|', '&', ';', '<', '>', '*']), "{arguments}");
    let is_set = |line: &&str| line.starts_with("Environment=");
    let set = service.lines().find(is_set).unwrap().strip_prefix("Environment=").unwrap();
    let (name, value) = set.split_once('=').unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_aqlens"));
    command.env_clear().env(name, site.here(value)).current_dir(site.dir.path());
    let ended = Ended::from(command.args(arguments.split(' ')).output().unwrap());
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    site.is_finished();
}

#[test]
fn the_slurm_scripts_share_the_run_and_finish_it() {
    let [shards, finish, submit] = of_many("bash").try_into().unwrap();
    for script in [&shards, &finish, &submit] {
        has_good_syntax("bash", script);
    }
    assert!(shards.contains("#SBATCH --array=0-2\n"));
    let site = Site::new();
    // The last one alone, as `sbatch --array=2` does it again.
    let alone = [("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "1")];
    site.run("bash", &shards, &alone);
    site.run_shares("bash", &shards, |k| {
        vec![("SLURM_ARRAY_TASK_ID", k), ("SLURM_ARRAY_TASK_COUNT", "3")]
    });
    assert_eq!(site.record().state, State::Running);
    site.run("bash", &finish, &[]);
    site.is_finished();

    site.stand_in("sbatch", "4711");
    let submitted = Ended::from(site.on_cluster(&submit, &[]).output().unwrap());
    assert_eq!(submitted.code, 0, "{}", submitted.stderr);
    let calls = fs::read_to_string(site.path("calls")).unwrap();
    let expected = "sbatch --parsable shards.sh\n\
                    sbatch --dependency=afterok:4711 --kill-on-invalid-dep=yes finish.sh\n";
    assert_eq!(calls, expected);
}

#[test]
fn a_slurm_share_that_runs_out_of_time_is_queued_again() {
    let [shards, ..] = <[String; 3]>::try_from(of_many("bash")).unwrap();
    let site = Site::new();
    site.stand_in("scontrol", "");
    // All shards in one share, so that it is still at work when it is stopped.
    let one_share = shards.replace("/3\"", "/1\"");
    assert_ne!(one_share, shards);
    let variables =
        [("SLURM_ARRAY_TASK_ID", "0"), ("SLURM_ARRAY_TASK_COUNT", "3"), ("SLURM_JOB_ID", "4711")];
    let mut child = site
        .on_cluster(&one_share, &variables)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    crate::overlap::wait_for(&mut child, "\"event\":\"run\"");
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert!(child.wait().unwrap().success());
    let calls = fs::read_to_string(site.path("calls")).unwrap();
    assert_eq!(calls, "scontrol requeue 4711\n");
}

/// The commands of a Job's only container, after a look at what the scheduler reads.
fn job(yaml: &str) -> (serde_yaml::Value, String) {
    let job: serde_yaml::Value = serde_yaml::from_str(yaml).unwrap();
    assert_eq!((&job["apiVersion"], &job["kind"]), (&"batch/v1".into(), &"Job".into()));
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never", "a policy on failing pods asks for that");
    let container = &pod["containers"][0];
    let shell: Vec<&str> =
        container["command"].as_sequence().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert_eq!(shell, ["/bin/sh", "-c"]);
    assert_eq!(container["volumeMounts"][0]["name"], pod["volumes"][0]["name"]);
    let folder = container["workingDir"].as_str().unwrap();
    let script = format!("cd {folder}\n{}", container["args"][0].as_str().unwrap());
    (job, script)
}

/// The variable that a Job's container has.
fn variable(job: &serde_yaml::Value) -> (String, String) {
    let set = &job["spec"]["template"]["spec"]["containers"][0]["env"][0];
    let text = |key: &str| set[key].as_str().unwrap().to_owned();
    (text("name"), text("value"))
}

#[test]
fn the_kubernetes_jobs_share_the_run_and_finish_it() {
    let [ray, workers, finish, sky] = of_many("yaml").try_into().unwrap();
    is_ray_job(&ray);
    is_sky_task(&sky);
    let (job_of_shares, script) = job(&workers);
    let spec = &job_of_shares["spec"];
    assert_eq!(spec["completionMode"], "Indexed", "`backoffLimitPerIndex` asks for that");
    assert!(script.contains("--join"), "{script}");
    let rules = spec["podFailurePolicy"]["rules"].as_sequence().unwrap();
    assert_eq!(rules[0]["onExitCodes"]["values"][1], 2);
    has_good_syntax("sh", &script);
    let site = Site::new();
    let set = variable(&job_of_shares);
    site.run_shares("sh", &script, |_| vec![(&set.0, &set.1)]);
    assert_eq!(site.record().state, State::Running);
    let (job, script) = job(&finish);
    let set = variable(&job);
    site.run("sh", &script, &[(&set.0, &set.1)]);
    site.is_finished();
}

/// What `KubeRay` requires of a job, and that its entrypoint is the driver of the package.
fn is_ray_job(yaml: &str) {
    let job: serde_yaml::Value = serde_yaml::from_str(yaml).unwrap();
    assert_eq!((&job["apiVersion"], &job["kind"]), (&"ray.io/v1".into(), &"RayJob".into()));
    let spec = &job["spec"];
    assert!(spec["entrypoint"].as_str().unwrap().starts_with("python -m aqlens.ray pipelines/"));
    let cluster = &spec["rayClusterSpec"];
    let head = &cluster["headGroupSpec"];
    let workers = cluster["workerGroupSpecs"].as_sequence().unwrap();
    for group in std::iter::once(head).chain(workers) {
        assert!(group["rayStartParams"].is_mapping(), "it is required, and of strings");
        let pod = &group["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(container["volumeMounts"][0]["name"], pod["volumes"][0]["name"]);
        assert!(container["resources"]["limits"]["cpu"].is_string());
    }
    for group in workers {
        let n = |key: &str| group[key].as_u64().unwrap();
        assert!(group["groupName"].is_string());
        assert!(n("minReplicas") <= n("replicas") && n("replicas") <= n("maxReplicas"));
    }
}

fn is_sky_task(yaml: &str) {
    let task: serde_yaml::Value = serde_yaml::from_str(yaml).unwrap();
    assert!(task["num_nodes"].as_u64().unwrap() > 1);
    let script = task["run"].as_str().unwrap();
    assert!(script.contains(" --join"), "{script}");
    has_good_syntax("bash", script);
}

#[test]
fn the_last_two_nights_are_compared() {
    let [script] = snippets("sh").try_into().unwrap();
    has_good_syntax("sh", &script);
    let site = Site::new();
    for night in ["runs/2026-11-25", "runs/2026-11-26", "runs/2026-11-27"] {
        let args = ["run", "pipelines/nightly.yml", "--run-dir", night, "--quiet"];
        let ended = Ended::from(aqlens_in(site.dir.path()).args(args).output().unwrap());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    site.run("sh", &script, &[]);
    let changes = fs::read_to_string(site.path("runs/changes.txt")).unwrap();
    assert!(changes.contains("2026-11-27 compared with 2026-11-26"), "{changes}");
    assert!(changes.contains("no difference"), "{changes}");
    assert!(fs::read_to_string(site.path("runs/changes.html")).unwrap().ends_with("</html>"));
}

#[test]
fn the_end_of_a_log_is_as_the_page_shows_it() {
    let [shown] = snippets("json").try_into().unwrap();
    let keys = |line: &str| {
        let end: serde_json::Value = serde_json::from_str(line).unwrap();
        end.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    let site = Site::new();
    let args = ["run", "pipelines/nightly.yml", "--log", "json", "--quiet"];
    let ended = Ended::from(aqlens_in(site.dir.path()).args(args).output().unwrap());
    assert_eq!(keys(&shown), keys(ended.stderr.lines().last().unwrap()));
}

#[test]
fn the_page_names_every_exit_code() {
    let page = fs::read_to_string(file("docs/scheduling.md")).unwrap();
    for code in ["0", "1", "2", "3", "4", "75", "101", "130"] {
        assert!(page.contains(&format!("\n| {code} | ")), "{code}");
    }
}
