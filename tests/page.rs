//! The page on the admin port, in a real Chromium: charts of a server that works and goes away, the
//! explorer by mouse and by keys, and what nobody may get into it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use sutra_client::{Association, AssociationKind, Concept};
use sutra_runtime::Histogram;

use crate::support::agent::{Agent, Home};
use crate::support::axe::{axe, faults};
use crate::support::browser::{Browser, DOWN, ENTER, ESCAPE, LEFT, Looks, RIGHT, TAB, skipped};
use crate::support::files::read;
use crate::support::master::Master;
use crate::support::{Folder, Server, wordnet};

/// "dog", in tests/data/wordnet.
const DOG: &str = "n02084071";
const LOOKS: [(&str, Looks); 4] = [
    ("desktop-light", (1280, 800, false)),
    ("desktop-dark", (1280, 800, true)),
    ("phone-light", (390, 844, false)),
    ("phone-dark", (390, 844, true)),
];
const IS_WELL: &str = "document.querySelector('#state').dataset.state === 'well'";
const IS_DRAWN: &str = "document.querySelector('.graph .dot.middle')";

fn start() -> (Server, SocketAddr) {
    let server = Server::start(&["--admin", "127.0.0.1:0"]);
    let admin = server.admin();
    (server, admin)
}

fn with_wordnet() -> (Server, SocketAddr) {
    let (server, admin) = start();
    let imported = server.run(&["import", wordnet().to_str().unwrap()]);
    assert!(imported.status.success(), "{imported:?}");
    (server, admin)
}

/// The figure of this name at the top of the overview.
fn figure(name: &str) -> String {
    let name = json!(name);
    format!(
        "([...document.querySelectorAll('.now div')]
            .find((one) => one.firstChild.textContent === {name})?.lastChild.textContent ?? '')"
    )
}

/// What stands in a chart of this title.
fn in_chart(title: &str, selector: &str) -> String {
    format!("document.querySelector('[aria-label={title:?}] {selector}')")
}

/// Whether the heading says this.
fn is_at(heading: &str) -> String {
    format!("document.querySelector('h1').textContent === {}", json!(heading))
}

/// Asks a server for this and that until it is dropped.
struct Load {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    fn on(server: &Server) -> Self {
        let (client, is_over) = (server.client(), Arc::new(AtomicBool::new(false)));
        let over = is_over.clone();
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                client.learn(Concept::new("dog").content("barks")).unwrap();
                for _ in 0..20 {
                    client.query("dog").unwrap();
                }
            }
        });
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

#[test]
fn quantiles_are_to_the_page_what_they_are_to_the_server() {
    let mut histogram = Histogram::default();
    for micros in (0..3_000_u64).map(|n| n * n) {
        histogram.record(Duration::from_micros(micros), 1 + micros % 3);
    }
    for longest in [0, 20] {
        histogram.record(Duration::from_secs(1_000), longest);
        let buckets: Vec<_> = histogram.buckets().collect();
        let script = read(Path::new("src/admin/page/js/samples.js"));
        let ask = format!("console.log(JSON.stringify(quantiles({})))", json!(buckets));
        let Ok(asked) = Command::new("node").args(["-e", &format!("{script}\n{ask}")]).output()
        else {
            return skipped("node is not here");
        };
        let found: Vec<f64> = serde_json::from_slice(&asked.stdout).unwrap();
        for (share, micros) in [0.5, 0.99, 0.999].into_iter().zip(found) {
            let ns = histogram.quantile(share).unwrap().as_nanos() as f64;
            // Bounds are rounded down to ns there.
            assert!((micros * 1e3 - ns).abs() < 3.0, "{share}: {micros} us, {ns} ns");
        }
    }
}

/// Fails where the browser has noted an error: of a script, or of what the policy forbids.
fn assert_no_error(browser: &Browser) {
    // A name that is no concept's is looked for by asking, and noted where it is not there.
    let is_error = |entry: &serde_json::Value| {
        let is_absent = entry["message"].as_str().unwrap().contains("status of 404");
        entry["level"] == "SEVERE" && !is_absent
    };
    let errors: Vec<_> = browser.log("browser").into_iter().filter(is_error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn charts_follow_the_load_and_go_on_after_the_server_was_away() {
    let Some(browser) = Browser::start() else { return };
    let (server, admin) = start();
    browser.open(&format!("http://{admin}/"));
    browser.wait(IS_WELL);
    let load = Load::on(&server);
    let is_busy = format!("parseFloat({}) > 0 && {} !== '–'", figure("requests"), figure("p99"));
    browser.wait(&is_busy);
    for (title, name) in [("Requests by operation", "query"), ("Requests by operation", "learn")] {
        let legend = in_chart(title, ".legend");
        browser.wait(&format!("{legend}?.textContent.includes({name:?})"));
    }
    for title in ["Requests by operation", "Latency", "Commit latency", "CPU", "Memory by use"] {
        browser.wait(&format!("{}.getAttribute('d').includes('L')", in_chart(title, ".line0")));
    }
    browser.wait("document.querySelectorAll('[aria-label=Cores] tbody tr').length === 2");
    // A moment before, by keys; and the same as a table.
    browser.run(&format!("{}.focus();", in_chart("Latency", ".frame")));
    browser.press(&[LEFT]);
    browser.wait(&format!(
        "/^\\d\\d:\\d\\d:\\d\\d, p50 /.test({}.getAttribute('aria-valuetext'))",
        in_chart("Latency", ".frame")
    ));
    browser.click("[aria-label='Latency as a table']");
    browser.wait(&in_chart("Latency", "tbody tr"));
    assert_no_error(&browser);

    drop(load);
    let known = browser.text(&figure("concepts"));
    let stopped = server.kill();
    browser.wait("document.querySelector('#state').textContent.startsWith('No answer')");
    assert_eq!(browser.text(&figure("concepts")), known, "what is known stays");
    browser.screenshot("gone");
    let server = Server::start_on(stopped.folder, &["--admin", &admin.to_string()]);
    browser.wait(IS_WELL);
    let _load = Load::on(&server);
    browser.wait(&in_chart("Requests by operation", ".gap"));
    browser.wait(&in_chart("Requests by operation", ".restart"));
    browser.wait(&is_busy);
    let figures = "[...document.querySelectorAll('.now dd, .legend .figure, td.figure')]
        .filter((one) => /[-−]\\d/.test(one.textContent)).map((one) => one.textContent).join()";
    assert_eq!(browser.text(figures), "", "nothing has gone down below nothing");
}

#[test]
fn a_page_that_nobody_sees_asks_for_nothing_until_it_is_seen_again() {
    let Some(browser) = Browser::start() else { return };
    let (_server, admin) = start();
    browser.open(&format!("http://{admin}/"));
    browser.wait(IS_WELL);
    let asked = || browser.run("return performance.getEntriesByType('resource').length;").as_u64();
    // As often as it asks, by its own clock.
    let five_seconds = || {
        browser.run_to_end(
            "const done = arguments[arguments.length - 1];
             let ticks = 0;
             const clock = setInterval(() => {
                 if (++ticks === 5) { clearInterval(clock); done(); }
             }, 1000);",
        )
    };
    let before = asked();
    five_seconds();
    assert!(asked() > before, "it asks while it is seen");
    browser.hide();
    browser.wait("document.hidden");
    // What was under way then is still answered.
    five_seconds();
    let hidden = asked();
    five_seconds();
    assert_eq!(asked(), hidden);
    browser.show();
    browser.wait("!document.hidden");
    browser.wait(&format!("performance.getEntriesByType('resource').length > {}", hidden.unwrap()));
}

/// A concept with so many associations, and one that leads to it.
fn learn_hub(server: &Server, spokes: usize) {
    let client = server.client();
    client.learn(Concept::new("hub").content("in the middle")).unwrap();
    for spoke in 0..spokes {
        let name = format!("spoke {spoke}");
        client.learn(Concept::new(&name).content("around it")).unwrap();
        client.associate(Association::between("hub", &name)).unwrap();
    }
    let to_hub = Association::between("way", "hub").kind(AssociationKind::CAUSAL);
    client.learn(Concept::new("way").content("leads to the hub")).unwrap();
    client.associate(to_hub).unwrap();
}

#[test]
fn a_hub_is_drawn_page_by_page_and_its_drawing_is_measured() {
    let Some(browser) = Browser::start() else { return };
    let (server, admin) = start();
    learn_hub(&server, 350);
    browser.open(&format!("http://{admin}/#/concept/way"));
    browser.wait(&is_at("way"));
    browser.wait("document.querySelectorAll('.graph .dot').length === 2");
    browser.click(".graph .dot:not(.middle) .disc");
    browser.wait(&is_at("hub"));
    let told = "document.querySelector('.told').textContent";
    browser.wait(&format!("{told} === '300 associations drawn; 51 more'"));
    browser.wait("document.body.dataset.drawn === '300'");
    let took = browser.run("return performance.getEntriesByName('drawn').at(-1).duration;");
    eprintln!("300 associations, from the click to the screen: {took} ms");
    browser.screenshot("hub");
    browser.click(".paging a");
    browser.wait(&format!("{told} === '51 associations drawn; 300 before them'"));
    browser.click(".paging a");
    browser.wait(&format!("{told} === '300 associations drawn; 51 more'"));
    assert_no_error(&browser);
}

#[test]
fn the_explorer_is_walked_by_mouse() {
    let Some(browser) = Browser::start() else { return };
    let (_server, admin) = with_wordnet();
    browser.open(&format!("http://{admin}/"));
    browser.click("#views a[href='#/explore']");
    browser.wait("document.querySelectorAll('.result tbody tr').length === 100");
    // By words of its content; the fittest comes first.
    browser.click("#find");
    browser.type_text("domestic dog");
    browser.wait("document.querySelector('#find-list li')?.textContent.includes('domestic dog')");
    browser.click("#find-list li");
    browser.wait(&is_at(DOG));
    browser.wait(IS_DRAWN);
    browser.wait("document.querySelector('.chosen .content')?.textContent.includes('Canis')");
    // What is pointed at is told; what is pressed is gone to.
    let other = ".graph .dot:not(.middle)";
    let name = "n01317541"; // "domestic animal"
    let at_name = format!("{other}[aria-label^={name:?}]");
    browser.click(&format!("{at_name} .disc"));
    browser.wait(&is_at(name));
    browser.wait(&format!("document.querySelector('{other}[aria-label^={DOG:?}] .been')"));
    browser.click("[aria-label='Back']");
    browser.wait(&is_at(DOG));
    browser.click("[aria-label='Forward']");
    browser.wait(&is_at(name));
    // The address alone leads to the same.
    let address = browser.text("location.href");
    browser.open("about:blank");
    browser.open(&address);
    browser.wait(&is_at(name));
    browser.wait(IS_DRAWN);
    assert_no_error(&browser);
}

#[test]
fn the_explorer_is_walked_by_keys_alone() {
    let Some(browser) = Browser::start() else { return };
    let (_server, admin) = with_wordnet();
    browser.open(&format!("http://{admin}/"));
    browser.wait(IS_WELL);
    let focused = "document.activeElement";
    browser.press(&[TAB]);
    browser.wait(&format!("{focused}.id === 'skip'"));
    browser.press(&[ENTER]);
    browser.wait(&format!("{focused}.id === 'main'"));
    browser.press(&["/"]);
    browser.wait(&format!("{focused}.id === 'find'"));
    browser.type_text("dog");
    browser.wait("!document.querySelector('#find-list').hidden");
    browser.press(&[ESCAPE]);
    browser.wait("document.querySelector('#find-list').hidden");
    browser.press(&[ESCAPE]);
    browser.wait(&format!("{focused}.value === ''"));
    browser.type_text(DOG);
    browser.press(&[ENTER]);
    browser.wait(&is_at(DOG));
    browser.wait(IS_DRAWN);
    // On to the drawing, to the concept at the right of the middle, and there.
    let is_in_drawing = format!("{focused}.closest('.graph')");
    while !browser.run(&format!("return Boolean({is_in_drawing});")).as_bool().unwrap() {
        browser.press(&[TAB]);
        assert!(browser.text(focused) != "null");
    }
    browser.wait(&format!("{focused}.classList.contains('middle')"));
    browser.press(&[RIGHT]);
    browser.wait(&format!("!{focused}.classList.contains('middle')"));
    browser.wait("document.querySelector('.looked h3')");
    browser.press(&[ESCAPE]);
    browser.wait(&format!("{focused}.classList.contains('middle')"));
    browser.press(&[DOWN]);
    let name = browser.text("document.activeElement.getAttribute('aria-label').split(',')[0]");
    browser.press(&[ENTER]);
    browser.wait(&is_at(&name));
    browser.wait(&format!("{focused}.classList.contains('middle')"));
    assert_no_error(&browser);
}

#[test]
fn filters_tables_likeness_and_paths_show_what_the_commands_do() {
    let Some(browser) = Browser::start() else { return };
    let (server, admin) = with_wordnet();
    let listed = |words: &[&str]| {
        let output = server.run(&[&["neighbors", DOG, "--json", "--limit", "0"], words].concat());
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["neighbors"].as_array().unwrap().len()
    };
    browser.open(&format!("http://{admin}/#/concept/{DOG}?as=table"));
    let rows = "document.querySelectorAll('.result tbody tr').length";
    browser.wait(&format!("{rows} === {}", listed(&[])));
    browser.click(".kinds input[value='hierarchical']");
    let others = listed(&["--type", "semantic,causal,temporal,compositional"]);
    assert!(others > 0 && others < listed(&[]));
    browser.wait(&format!("{rows} === {others}"));
    assert!(!browser.text("document.querySelector('.result').innerText").contains("hierarchical"));
    browser.click(".kinds input[value='hierarchical']");
    browser.wait(&format!("{rows} === {}", listed(&[])));
    browser.run(
        "const direction = document.querySelector('#direction');
         direction.value = 'out'; direction.dispatchEvent(new Event('change'));",
    );
    browser.wait(&format!("{rows} === {}", listed(&["--direction", "out"])));
    browser.click("[data-as='drawing']");
    let dots = "document.querySelectorAll('.graph .dot').length";
    browser.wait(&format!("{dots} === {}", listed(&["--direction", "out"]) + 1));

    // What is like it: the first is what the command finds first.
    browser.open(&format!("http://{admin}/#/like/{DOG}?as=table"));
    let found = server.run(&["search", "--like", DOG, "-k", "1", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let first = found["results"][0]["name"].as_str().unwrap();
    browser.wait(&format!(
        "document.querySelector('.result tbody tr a')?.textContent === {}",
        json!(first)
    ));

    // A path, from the chosen concept to one that is found by typing.
    browser.open(&format!("http://{admin}/#/concept/{DOG}"));
    browser.wait(&is_at(DOG));
    browser.wait("[...document.querySelectorAll('.actions button')].length === 2");
    browser.click(".actions button");
    browser.wait("document.activeElement.id === 'path-to'");
    browser.type_text("n02121808");
    browser.press(&[ENTER]);
    browser.wait("!document.querySelector('.paths > button').disabled");
    browser.click(".paths > button");
    browser.wait(&is_at(&format!("{DOG} to n02121808")));
    browser.wait(&format!("{dots} === 3"));
    browser.wait("document.querySelectorAll('.steps li').length === 3");
    assert_no_error(&browser);
}

#[test]
fn hostile_names_and_contents_stay_text() {
    let Some(browser) = Browser::start() else { return };
    let (server, admin) = start();
    let name = "<img src=x onerror=\"window.hacked=1\">";
    let content = "</script><script>window.hacked=1</script><b onclick=alert(1)>'\"&amp;\u{202e}";
    let client = server.client();
    client.learn(Concept::new(name).content(content)).unwrap();
    client.learn(Concept::new("javascript:window.hacked=1").content(content)).unwrap();
    client.associate(Association::between(name, "javascript:window.hacked=1")).unwrap();
    let markup = "document.querySelectorAll('main img, main script, main b').length";
    for view in ["explore", "concept/<img src=x onerror=\"window.hacked=1\">?as=table"] {
        browser.open(&format!("http://{admin}/#/{view}"));
        browser
            .wait(&format!("document.querySelector('main').innerText.includes({})", json!(name)));
        assert_eq!(browser.text(markup), "0", "{view}");
    }
    browser.click(".result tbody a");
    browser.wait(&is_at("javascript:window.hacked=1"));
    browser.click("[data-as='drawing']");
    browser.wait(IS_DRAWN);
    browser.wait("document.querySelector('.chosen .content').textContent.includes('<script>')");
    assert_eq!(browser.text(markup), "0");
    // Found by typing as well.
    browser.click("#find");
    browser.type_text("<img");
    browser.wait("document.querySelector('#find-list li')");
    assert_eq!(browser.text(markup), "0");
    assert_eq!(browser.text("String(window.hacked)"), "undefined");
    // Whatever wanted to write markup would be stopped by the policy.
    let stopped = browser.text(
        "(() => { try { document.body.innerHTML = '<i>'; return 'not'; } \
         catch (error) { return error.name; } })()",
    );
    assert_eq!(stopped, "TypeError");
}

/// Looks at a view in both themes and widths: axe finds nothing bad, and there are pictures.
fn look_at(browser: &Browser, axe: Option<&str>, name: &str) {
    for (look, looks) in LOOKS {
        browser.looks(looks);
        // What follows a change of size is drawn in the next frame.
        browser.run_to_end("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))");
        browser.screenshot(&format!("{name}-{look}"));
        let wide = browser.run("return document.documentElement.scrollWidth > innerWidth;");
        assert_eq!(wide, json!(false), "{name} {look} is wider than its window");
        if let Some(axe) = axe {
            let faults = faults(browser, axe);
            assert!(faults.is_empty(), "{name} {look}:\n{}", faults.join("\n"));
        }
    }
    browser.looks(LOOKS[0].1);
}

/// Fails where anything was asked for elsewhere than at these.
fn assert_asked_only(browser: &Browser, admins: &[SocketAddr]) {
    let messages = browser.log("performance");
    let messages = messages.iter().map(|entry| entry["message"].as_str().unwrap());
    let messages = messages.map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
    let asked: Vec<String> = messages
        .filter(|message| message["message"]["method"] == "Network.requestWillBeSent")
        .map(|message| message["message"]["params"]["request"]["url"].as_str().unwrap().to_owned())
        .collect();
    assert!(asked.len() > 5, "{asked:?}");
    let is_here = |url: &String| {
        url.starts_with("data:")
            || admins.iter().any(|at| url.starts_with(&format!("http://{at}/")))
    };
    let elsewhere: Vec<_> = asked.iter().filter(|url| !is_here(url)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn every_view_of_a_server_serves_all_people_and_asks_no_other_host() {
    let Some(browser) = Browser::start() else { return };
    let axe = axe();
    let (server, admin) = with_wordnet();
    let load = Load::on(&server);
    browser.open(&format!("http://{admin}/"));
    browser.wait(IS_WELL);
    browser.wait(&format!("parseFloat({}) > 0", figure("requests")));
    browser.wait(&format!("{}.getAttribute('d').includes('L')", in_chart("CPU", ".line0")));
    look_at(&browser, axe.as_deref(), "overview");
    drop(load);
    for (name, place, is_shown) in [
        ("concepts", "explore".to_owned(), "document.querySelector('.result tbody tr')"),
        ("concept", format!("concept/{DOG}"), "document.querySelector('.chosen .facts')"),
        ("concept-table", format!("concept/{DOG}?as=table"), "document.querySelector('td a')"),
        ("like", format!("like/{DOG}"), IS_DRAWN),
        ("path", format!("path/{DOG}/n02121808"), "document.querySelector('.steps')"),
    ] {
        browser.open(&format!("http://{admin}/#/{place}"));
        browser.wait(is_shown);
        look_at(&browser, axe.as_deref(), name);
    }
    // A theme that is chosen stays, whatever the system's is.
    let ground = "getComputedStyle(document.body).backgroundColor";
    let of_system = browser.text(ground);
    for theme in ["light", "dark"] {
        browser.click("#theme");
        browser.wait(&format!("document.documentElement.dataset.theme === {theme:?}"));
    }
    assert_ne!(browser.text(ground), of_system);
    browser.open("about:blank");
    browser.open(&format!("http://{admin}/"));
    browser.wait("document.documentElement.dataset.theme === 'dark'");
    assert_asked_only(&browser, &[admin]);
}

#[test]
fn a_masters_page_shows_hosts_nodes_and_what_happens_and_an_agents_its_nodes() {
    let Some(browser) = Browser::start() else { return };
    let axe = axe();
    let (registry, home) = (Folder::new(), Home::new());
    let on_any_port = ["--admin", "127.0.0.1:0"];
    let master = Master::start(&registry.path(), "127.0.0.1:0", &on_any_port);
    let at_master = master.admin.parse().unwrap();
    browser.open(&format!("http://{at_master}/"));
    browser.wait(IS_WELL);
    let agent = Agent::start(&home, &["--admin", "127.0.0.1:0", "--master", &master.address]);
    let rows = |of: &str| format!("document.querySelectorAll('[aria-label={of}] tbody tr')");
    browser.wait(&format!("{}.length === 1", rows("Hosts")));
    let node = agent.spawn("data");
    browser
        .wait(&format!("[...{}].some((row) => row.innerText.includes('running'))", rows("Nodes")));
    let events = format!("[...{}].map((row) => row.innerText).join()", rows("Events"));
    browser.wait(&format!("{events}.includes({})", json!(node.id)));
    look_at(&browser, axe.as_deref(), "master");
    let before = browser.text(&format!("{}.length", rows("Events")));
    agent.stop_node(&node.id).unwrap();
    browser.wait(&format!("{}.length > {before}", rows("Events")));

    let at_agent: SocketAddr = agent.greeting["admin"].as_str().unwrap().parse().unwrap();
    agent.spawn("more");
    browser.open(&format!("http://{at_agent}/"));
    browser
        .wait(&format!("[...{}].some((row) => row.innerText.includes('running'))", rows("Nodes")));
    look_at(&browser, axe.as_deref(), "agent");
    assert_asked_only(&browser, &[at_master, at_agent]);
    assert_no_error(&browser);
}
