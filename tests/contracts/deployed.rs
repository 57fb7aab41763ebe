//! What is deployed is what is shipped: the pods of `config/deploy/kubernetes` find every file that the flow and the settings
//! name, and whoever has to reach them can, by the port that the manifests say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::support::{SampleDatabases, Setup, TestApp, repository};

const MANIFESTS: &str = "config/deploy/kubernetes";

fn manifest(name: &str) -> Json {
    let text = std::fs::read_to_string(repository().join(MANIFESTS).join(name)).expect("readable");
    serde_yaml::from_str(&text).expect("YAML")
}

fn list<'a>(json: &'a Json, pointer: &str) -> &'a [Json] {
    json.pointer(pointer).and_then(Json::as_array).unwrap_or_else(|| panic!("no list at {pointer}"))
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {json}"))
}

/// The manifests of pods, with the command that each runs.
const PODS: [(&str, &str); 2] = [("deployment.yaml", "serve"), ("batch/job.yaml", "run")];

/// The pods of a manifest, and their only container.
fn template(name: &str) -> (Json, Json) {
    let spec = manifest(name)["spec"]["template"].clone();
    let containers = list(&spec, "/spec/containers");
    assert_eq!(containers.len(), 1);
    let container = containers[0].clone();
    (spec, container)
}

/// The files of each `ConfigMap` that the kustomization makes: by their keys, where they are in the repository.
fn config_maps() -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let kustomization = manifest("flow/kustomization.yaml");
    let files = |map: &Json| {
        let entry = |file: &Json| {
            let (key, path) = file.as_str().and_then(|file| file.split_once('=')).expect("key=path");
            (key.to_owned(), repository().join(MANIFESTS).join("flow").join(path))
        };
        list(map, "/files").iter().map(entry).collect()
    };
    list(&kustomization, "/configMapGenerator").iter().map(|map| (text(map, "name").to_owned(), files(map))).collect()
}

/// A container's files below a directory, as its mounts lay them.
struct Pod {
    root: tempfile::TempDir,
    container: Json,
    command: &'static str,
    files: BTreeSet<PathBuf>,
}

impl Pod {
    fn laid_out((manifest, command): (&str, &'static str)) -> Self {
        let (spec, container) = template(manifest);
        let root = tempfile::tempdir().expect("a directory");
        let mut pod = Self { root, container, command, files: BTreeSet::new() };
        let (maps, mut unused) = (config_maps(), BTreeSet::new());
        for (map, files) in &maps {
            unused.extend(files.keys().map(|key| (map.clone(), key.clone())));
        }
        for mount in list(&pod.container.clone(), "/volumeMounts") {
            let volumes = list(&spec, "/spec/volumes");
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).expect("a volume of that name");
            let Some(name) = volume["configMap"]["name"].as_str() else { continue };
            let map = maps.get(name).unwrap_or_else(|| panic!("the kustomization makes no `{name}`"));
            let at = text(mount, "mountPath");
            let keys = match mount["subPath"].as_str() {
                Some(key) => vec![(key.to_owned(), at.to_owned())],
                None => map.keys().map(|key| (key.clone(), format!("{at}/{key}"))).collect(),
            };
            for (key, path) in keys {
                let source = map.get(&key).unwrap_or_else(|| panic!("`{name}` has no `{key}`"));
                pod.write(&path, &std::fs::read(source).unwrap_or_else(|_| panic!("no file {}", source.display())));
                unused.remove(&(name.to_owned(), key));
            }
        }
        assert!(unused.is_empty(), "in a ConfigMap, and mounted nowhere: {unused:?}");
        pod
    }

    fn path(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }

    fn write(&mut self, absolute: &str, bytes: &[u8]) {
        let path = self.path(absolute);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(&path, bytes).expect("written");
        self.files.insert(path);
    }

    /// What `tributary check` says to the container's arguments and variables, and whether it is content.
    fn check(&self) -> (bool, String) {
        let here = |text: &str| if text.starts_with('/') { self.path(text).display().to_string() } else { text.into() };
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.current_dir(self.root.path()).env_clear().arg("check");
        let arguments: Vec<&str> = list(&self.container, "/args").iter().filter_map(Json::as_str).collect();
        assert_eq!(arguments[0], self.command);
        let files: Vec<_> = arguments.iter().filter_map(|argument| argument.split_once('=')).collect();
        let files: Vec<_> = files.into_iter().filter(|(option, _)| matches!(*option, "--graph" | "--config")).collect();
        assert_eq!(files.len(), 2, "{arguments:?}");
        command.args(files.into_iter().map(|(option, path)| format!("{option}={}", here(path))));
        for variable in list(&self.container, "/env") {
            let (name, value) = (text(variable, "name"), here(text(variable, "value")));
            if name.ends_with("_FILE") {
                std::fs::create_dir_all(Path::new(&value).parent().expect("a directory")).expect("made");
                std::fs::write(&value, "secret").expect("written");
            }
            command.env(name, value);
        }
        let output = command.output().expect("it runs");
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text")).concat();
        (output.status.success(), said)
    }
}

#[test]
fn a_pod_has_every_file_and_every_variable_that_the_flow_needs() {
    for pod in PODS {
        let (content, said) = Pod::laid_out(pod).check();
        assert!(content && said.starts_with("ok: ") && said.lines().count() == 1, "{said}");
    }
}

/// So that the check above is one: a file that were not mounted would be missed.
#[test]
fn a_pod_without_any_one_of_its_files_is_refused() {
    for pod in PODS.map(Pod::laid_out) {
        assert!(pod.files.len() >= 4, "{:?}", pod.files);
        for file in &pod.files {
            let bytes = std::fs::read(file).expect("readable");
            std::fs::remove_file(file).expect("removed");
            let (content, said) = pod.check();
            assert!(!content, "{}: {said}", file.display());
            std::fs::write(file, bytes).expect("written");
        }
        assert!(pod.check().0);
    }
}

#[test]
fn the_pods_of_a_batch_are_its_shards_and_get_no_requests() {
    let job = manifest("batch/job.yaml");
    let (pods, container) = template("batch/job.yaml");
    assert_eq!(job["spec"]["completionMode"], "Indexed");
    let shard = format!("--shard=$(JOB_COMPLETION_INDEX)/{}", job["spec"]["completions"]);
    assert!(list(&container, "/args").contains(&json!(shard)), "{shard}: {container}");
    assert!(list(&container, "/args").contains(&json!("--output=/data/decisions-$(JOB_COMPLETION_INDEX).ndjson")));
    // What Kubernetes makes of it is a shard, as are all others.
    for index in 0..8 {
        let shard = shard.replace("$(JOB_COMPLETION_INDEX)", &index.to_string());
        let arguments = ["run", "--graph", "/nowhere", "--batch", "/nowhere", &shard];
        assert_eq!(crate::support::run(repository(), &[], &arguments).0, 1, "{shard}: only the files are missing");
    }
    let label = &pods["metadata"]["labels"]["app.kubernetes.io/name"];
    assert_ne!(*label, manifest("service.yaml")["spec"]["selector"]["app.kubernetes.io/name"]);
    let (policy, service) = (manifest("network.yaml"), &template("deployment.yaml").0["metadata"]["labels"]);
    let restricted = json!([{ "key": "app.kubernetes.io/name", "operator": "In",
        "values": [service["app.kubernetes.io/name"], label] }]);
    assert_eq!(policy["spec"]["podSelector"]["matchExpressions"], restricted);
}

#[test]
fn ports_have_one_number_wherever_the_manifests_name_them() {
    let (template, container) = template("deployment.yaml");
    let port = |name: &str| {
        let ports = list(&container, "/ports");
        let port = ports.iter().find(|port| port["name"] == name).unwrap_or_else(|| panic!("no port {name}"));
        port["containerPort"].clone()
    };
    let settings = manifest("service-config.yaml");
    for (key, name) in [("bind", "http"), ("admin_bind", "admin")] {
        let address: std::net::SocketAddr = text(&settings["http"], key).parse().expect("an address");
        assert_eq!(port(name), json!(address.port()), "{key}");
        assert!(address.ip().is_unspecified(), "{address} cannot be reached from another pod");
    }
    let annotations = &template["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"], json!(port("admin").to_string()));
    assert_eq!(
        (&annotations["prometheus.io/scrape"], &annotations["prometheus.io/path"]),
        (&json!("true"), &json!("/metrics"))
    );
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "http");
    }
    assert_eq!(
        manifest("service.yaml")["spec"]["ports"],
        json!([{ "name": "http", "port": 80, "targetPort": "http" }])
    );
}

#[test]
fn requests_come_from_everywhere_and_scrapes_from_where_traces_may_go() {
    let spec = manifest("network.yaml")["spec"].clone();
    let from = |port: &str| -> Vec<Json> {
        let rules = list(&spec, "/ingress").iter();
        rules
            .filter(|rule| list(rule, "/ports").iter().any(|it| it["port"] == port))
            .map(|rule| rule["from"].clone())
            .collect()
    };
    assert_eq!(from("http"), [Json::Null], "anybody");
    let monitoring =
        json!([{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } } }]);
    assert_eq!(from("admin"), std::slice::from_ref(&monitoring));
    let traces = list(&spec, "/egress").iter().find(|rule| list(rule, "/ports").iter().any(|it| it["port"] == 4318));
    assert_eq!(traces.expect("a way out for traces")["to"], monitoring);
}

#[actix_web::test]
async fn metrics_are_scraped_at_the_admin_port_of_the_pods_and_nowhere_else() {
    let databases = SampleDatabases::create().await;
    let config = Some(repository().join(MANIFESTS).join("service-config.yaml"));
    // Its address, and a free port of it.
    let bind = text(&manifest("service-config.yaml")["http"], "admin_bind").replace(":8081", ":0");
    let setup = Setup { config, ..Setup::shipped() }.on(&databases).set("TRIBUTARY_ADMIN_BIND", &bind);
    let app = TestApp::start(setup.set("ADMIN_TOKEN", "planted-admin-token"));
    app.wait_for("/readyz", 200).await;
    assert_eq!(app.purchasing("PROD-001").await.status, 200);
    assert_eq!(app.get("/metrics").await.code(), "no_such_path");
    let port = app.admin.expect("an address of its own").port();
    let scrape = TestApp::answer(app.client.get(format!("http://127.0.0.1:{port}/metrics"))).await;
    assert!(scrape.status == 200 && scrape.text.contains("tributary_decisions_total"), "{}", scrape.text);
    // What the autoscaler asks for is there, under the name by which the adapter finds it.
    let scaled = manifest("autoscaler.yaml")["spec"]["metrics"][0]["pods"]["metric"]["name"].clone();
    let name = scaled.as_str().expect("a name");
    assert!(scrape.text.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}: {}", scrape.text);
    let rules = manifest("prometheus-adapter.yaml")["data"]["config.yaml"].clone();
    let rules: Json = serde_yaml::from_str(rules.as_str().expect("text")).expect("YAML");
    assert!(text(&rules["rules"][0], "seriesQuery").starts_with(&format!("{name}{{")), "{rules}");
    // Whoever may scrape may not command.
    let restart = app.client.post(format!("http://127.0.0.1:{port}/admin/domains/oms_db/restart"));
    assert_eq!(TestApp::answer(restart).await.code(), "unauthorized");
}
