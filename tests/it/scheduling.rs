//! docs/scheduling.md: every snippet is taken from the page and, as far as that goes without the
//! service, run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use aqlens::run_dir::record::{RunRecord, State};
use aqlens::store::Store;

use crate::support::pipeline::GOOD;
use crate::support::{Ended, aqlens_in, file, put};

/// The fenced blocks of that language, in order.
fn snippets(language: &str) -> Vec<String> {
    let page = fs::read_to_string(file("docs/scheduling.md")).unwrap();
    let opening = format!("```{language}\n");
    let blocks = page.split(&opening).skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// A folder like `/srv/aqlens` of the page, with a pipeline of three shards.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("pipelines")).unwrap();
        fs::create_dir_all(dir.path().join("runs")).unwrap();
        fs::create_dir_all(dir.path().join("bin")).unwrap();
        let model = file("tests/fixtures/tiny");
        let three =
            "ball: \"the red ball\"\n      cup: \"the cup\"\n      long: \"the blue table\"";
        let text =
            GOOD.replace("ball: \"the red ball\"", three).replace("MODEL", model.to_str().unwrap());
        let text = format!("shard_inputs: 1\n{text}");
        put(&dir.path().join("pipelines/nightly.yml"), text.as_bytes());
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_aqlens"), dir.path().join("bin/aqlens"))
            .unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program of the cluster that writes down what it is asked.
    fn stand_in(&self, name: &str, prints: &str) {
        let path = self.path("bin").join(name);
        let text = format!("#!/bin/sh\necho \"{name} $*\" >> calls\necho {prints}\n");
        put(&path, text.as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Has `shell` run `script` here, with the program on the path and these variables.
    fn command(&self, shell: &str, script: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = aqlens_in(self.dir.path());
        let with_runtime: Vec<_> =
            command.get_envs().map(|(k, v)| (k.to_owned(), v.unwrap().to_owned())).collect();
        command = Command::new(shell);
        command.env_clear().envs(with_runtime).current_dir(self.dir.path());
        let bin = self.path("bin");
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        command.envs(variables.iter().copied()).args(["-c", script]);
        command
    }

    fn run(&self, shell: &str, script: &str, variables: &[(&str, &str)]) {
        let output = self.command(shell, script, variables).output().unwrap();
        let ended = Ended::from(output);
        assert_eq!(ended.code, 0, "{script}\n{}", ended.stderr);
    }

    /// Runs a script once for each share, all at once.
    fn run_shares(&self, shell: &str, script: &str, variables: impl Fn(&str) -> Vec<(&str, &str)>) {
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
    let line = table.lines().find(|line| !line.starts_with('#')).unwrap();
    let fields: Vec<&str> = line.splitn(6, ' ').collect();
    for (field, most) in fields[..5].iter().zip([59, 23, 31, 12, 7]) {
        assert!(*field == "*" || field.parse::<u32>().unwrap() <= most, "{field}");
    }
    assert!(!fields[5].contains('%'), "cron ends a command at `%`");
    let site = Site::new();
    let script = fields[5].replace("/srv/aqlens", site.dir.path().to_str().unwrap());
    site.run("sh", &script, &[]);
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
    let mut command = aqlens_in(site.dir.path());
    let ended = Ended::from(command.args(arguments.split(' ')).output().unwrap());
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    site.is_finished();
}

#[test]
fn the_slurm_scripts_share_the_run_and_finish_it() {
    let [shards, finish, submit] = snippets("bash").try_into().unwrap();
    for script in [&shards, &finish, &submit] {
        has_good_syntax("bash", script);
    }
    assert!(shards.contains("#SBATCH --array=0-2\n"));
    let site = Site::new();
    site.run_shares("bash", &shards, |k| {
        vec![("SLURM_ARRAY_TASK_ID", k), ("SLURM_ARRAY_TASK_COUNT", "3")]
    });
    assert_eq!(site.record().state, State::Running);
    site.run("bash", &finish, &[]);
    site.is_finished();

    site.stand_in("sbatch", "4711");
    site.run("bash", &submit, &[]);
    let calls = fs::read_to_string(site.path("calls")).unwrap();
    let expected = "sbatch --parsable shards.sh\nsbatch --dependency=afterok:4711 finish.sh\n";
    assert_eq!(calls, expected);
}

#[test]
fn a_slurm_share_that_runs_out_of_time_is_queued_again() {
    let [shards, ..] = <[String; 3]>::try_from(snippets("bash")).unwrap();
    let site = Site::new();
    site.stand_in("scontrol", "");
    let variables =
        [("SLURM_ARRAY_TASK_ID", "0"), ("SLURM_ARRAY_TASK_COUNT", "1"), ("SLURM_JOB_ID", "4711")];
    let mut child = site
        .command("bash", &shards, &variables)
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
    let script = container["args"][0].as_str().unwrap().to_owned();
    (job, script)
}

#[test]
fn the_kubernetes_jobs_share_the_run_and_finish_it() {
    let [shares, finish] = snippets("yaml").try_into().unwrap();
    let (job_of_shares, script) = job(&shares);
    let spec = &job_of_shares["spec"];
    assert_eq!(spec["completionMode"], "Indexed");
    let n = spec["completions"].as_u64().unwrap();
    assert!(script.contains(&format!("--shard \"$JOB_COMPLETION_INDEX/{n}\"")), "{script}");
    let rules = spec["podFailurePolicy"]["rules"].as_sequence().unwrap();
    assert_eq!(rules[0]["onExitCodes"]["values"][0], 2);
    has_good_syntax("sh", &script);
    let site = Site::new();
    site.run_shares("sh", &script, |k| vec![("JOB_COMPLETION_INDEX", k)]);
    assert_eq!(site.record().state, State::Running);
    let (_, script) = job(&finish);
    site.run("sh", &script, &[]);
    site.is_finished();
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
    for code in ["0", "1", "2", "3", "130"] {
        assert!(page.contains(&format!("\n| {code} | ")), "{code}");
    }
}
