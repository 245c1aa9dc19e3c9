//! A store that is started on another number of cores: all that was there is there, wherever the
//! change is killed.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use serde_json::Value;
use sutra_client::{Association, Concept};

use crate::support::whole::{Whole, whole};
use crate::support::{Folder, PATIENCE, Server, run, sutra, wordnet};

fn start(folder: Folder, cores: usize) -> Server {
    Server::start_on(folder, &["--cores", &cores.to_string()])
}

/// A server on one core with WordNet's small part, two namespaces, and things that were changed,
/// removed and deleted.
fn filled() -> Server {
    let server = Server::start(&["--cores", "1"]);
    let imported = server.run(&["import", wordnet().to_str().unwrap()]);
    assert!(imported.status.success(), "{imported:?}");
    for client in [server.client(), server.client().namespace("other")] {
        for number in 0..60 {
            let name = format!("n{number}");
            for version in 0..2 {
                client.learn(Concept::new(&*name).content(format!("version {version}"))).unwrap();
            }
            client.associate(Association::between(&*name, "n0")).unwrap();
            client.associate(Association::between("never learned", &*name)).unwrap();
        }
        for number in (1..60).step_by(5) {
            assert!(client.delete(format!("n{number}").as_str()).unwrap().concept);
        }
    }
    server
}

fn stopped(server: Server) -> Folder {
    let (status, stopped) = server.stop();
    assert!(status.success());
    stopped.folder
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn verified(data: &Path) {
    let checked = run(&["verify", "--data", data.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "{}", words(&checked));
}

fn is_the_same(server: &Server, expected: &Whole) {
    let found = whole(&server.client());
    assert_eq!(found.concepts.len(), expected.concepts.len());
    assert_eq!(found.associations.len(), expected.associations.len());
    assert!(found == *expected, "every record is as it was, its times too");
}

#[test]
fn wordnet_is_the_same_on_one_two_four_and_three_cores_and_so_is_what_is_written_between() {
    let mut server = filled();
    let mut expected = whole(&server.client());
    assert!(expected.concepts.len() > 3900);
    for cores in [2, 4, 3, 1] {
        let folder = stopped(server);
        verified(&folder.path());
        server = start(folder, cores);
        let stats = server.client().stats().unwrap();
        assert_eq!(usize::try_from(stats.cores.to_native()).unwrap(), cores);
        is_the_same(&server, &expected);
        let client = server.client();
        let likeness = client.query("n2").unwrap().unwrap();
        assert_eq!(likeness.content.as_str(), "version 1");
        client.learn(Concept::new("since").content(format!("on {cores} cores"))).unwrap();
        client.associate(Association::between("since", format!("n{cores}"))).unwrap();
        client.delete(format!("n{}", 10 + cores).as_str()).unwrap();
        expected = whole(&client);
    }
    // Killed, it has all of that, too.
    let server = start(server.kill().folder, 2);
    is_the_same(&server, &expected);
}

#[test]
fn a_store_that_was_made_over_is_backed_up_restored_repaired_and_read_like_any_other() {
    let server = start(stopped(filled()), 3);
    server.client().learn(Concept::new("since").content("behind the state")).unwrap();
    let expected = whole(&server.client());
    let (backups, stream, repaired) = (Folder::new(), Folder::new(), Folder::new());
    let (folder, file) = (backups.path(), stream.path());
    let taken = server.run(&["backup", folder.to_str().unwrap()]);
    assert!(taken.status.success(), "{}", words(&taken));
    server.client().learn(Concept::new("later").content("in the second backup alone")).unwrap();
    let taken = server.run(&["backup", folder.to_str().unwrap(), "--json"]);
    let taken: Value = serde_json::from_slice(&taken.stdout).unwrap();
    assert!(taken["fetched_bytes"].as_u64() < Some(1 << 20), "{taken}");
    let streamed = server.run(&["backup", "-"]);
    assert!(streamed.status.success(), "{}", words(&streamed));
    fs::create_dir_all(&file).unwrap();
    let file = file.join("stream.tar");
    fs::write(&file, &streamed.stdout).unwrap();
    let with_later = whole(&server.client());
    let data = stopped(server);
    for (from, stream) in [(folder.as_path(), None), (Path::new("-"), Some(&file))] {
        let new = Folder::new();
        let mut command = sutra();
        command.arg("restore").arg(from).arg("--data").arg(new.path());
        command.stdin(stream.map_or(Stdio::null(), |file| fs::File::open(file).unwrap().into()));
        let restored = command.output().unwrap();
        assert!(restored.status.success(), "{}", words(&restored));
        verified(&new.path());
        // On another number of cores at once.
        is_the_same(&start(new, 2), &with_later);
    }
    assert_eq!(with_later.concepts.len(), expected.concepts.len() + 1);
    let (from, to) = (data.path(), repaired.path());
    let done = run(&["repair", "--data", from.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(0), "{}", words(&done));
    is_the_same(&start(repaired, 3), &with_later);
    let server = Server::start_on(data, &["--cores", "3", "--read-only"]);
    is_the_same(&server, &with_later);
}

/// Starts a server on another number of cores and kills it while it makes the store over; whether
/// it was still at it.
fn kill_in_the_middle(data: &Path, cores: usize, pause: Duration) -> bool {
    let mut command = sutra();
    command.arg("serve").arg("--data").arg(data).args(["--no-pin", "--admin", "off"]);
    command.args(["--listen", "127.0.0.1:0", "--compat", "off", "--cores", &cores.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let is_at_it = || {
        let manifest = fs::read_to_string(data.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let is_done = manifest["cores"] == cores && manifest["resharding"].is_null();
        (is_done, !manifest["resharding"].is_null())
    };
    let until = Instant::now() + PATIENCE;
    while is_at_it() == (false, false) {
        assert!(Instant::now() < until && child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    // Slowness is what is tested: the kill is to fall anywhere.
    std::thread::sleep(pause);
    let (is_done, _) = is_at_it();
    child.kill().unwrap();
    child.wait().unwrap();
    !is_done
}

fn kills(count: u32) {
    let server = filled();
    let expected = whole(&server.client());
    let folder = stopped(server);
    let data = folder.path();
    let random = &mut rand::rngs::StdRng::seed_from_u64(7);
    let mut in_the_middle = 0;
    for kill in 0..count {
        let cores = [2, 3, 1, 4][kill as usize % 4];
        let pause = Duration::from_micros(random.random_range(0..60_000));
        in_the_middle += u32::from(kill_in_the_middle(&data, cores, pause));
        verified(&data);
    }
    assert!(in_the_middle > 0, "some kills fell into the change");
    let server = start(folder, 2);
    is_the_same(&server, &expected);
    let folders = fs::read_dir(server.data()).unwrap().map(|entry| entry.unwrap().file_name());
    let shards = folders.filter(|name| name.to_str().unwrap().starts_with("shard-")).count();
    assert_eq!(shards, 2, "nothing is left of what was killed");
}

#[test]
fn a_change_that_is_killed_leaves_the_old_store_or_the_new_one() {
    kills(8);
}

#[test]
#[ignore = "kills a hundred starts"]
fn a_hundred_changes_that_are_killed_leave_the_old_store_or_the_new_one() {
    kills(100);
}
