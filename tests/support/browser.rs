//! A real Chromium without a window, driven by WebDriver through its chromedriver.
//!
//! One at a time: a browser takes more of a host than all else that tests start. Where there is no
//! Chromium, that is said on standard error, past the test harness.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::PATIENCE;
use super::http::ask;

/// What Chromium is called.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// As root, too; and it asks nobody for anything of its own accord.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
];

/// WebDriver's names of keys.
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
pub const TAB: &str = "\u{e004}";
pub const LEFT: &str = "\u{e012}";
pub const RIGHT: &str = "\u{e014}";
pub const DOWN: &str = "\u{e015}";

/// How a page is looked at: width, height, and whether in the dark.
pub type Looks = (u32, u32, bool);

/// A browser; its end is that of its processes and its profile.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// Where a program lies.
fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut files = names.iter().flat_map(|name| folders.iter().map(move |at| at.join(name)));
    files.find(|file| file.is_file())
}

/// Says what could not be tested, past the harness, which keeps what tests print.
pub fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

impl Browser {
    /// Starts one, 1280 × 800 and light; nothing where there is none.
    pub fn start() -> Option<Self> {
        static ONE: Mutex<()> = Mutex::new(());
        let (Some(chromium), Some(driver)) = (program(&NAMES), program(&["chromedriver"])) else {
            skipped("the page in a browser: apt-get install chromium chromium-driver");
            return None;
        };
        let alone = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let profile = tempfile::Builder::new()
            .prefix("browser-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        let (driver, address) = start_driver(&driver);
        let mut arguments: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let session = String::new();
        let mut browser = Self { driver, address, session, _profile: profile, _alone: alone };
        let begun = browser.post("", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        browser.session = format!("/{}", begun["sessionId"].as_str().unwrap());
        browser.looks((1280, 800, false));
        // Away from the browser's own first page; what that has asked for is not kept.
        browser.open("about:blank");
        browser.log("performance");
        Some(browser)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/session{}{path}", self.session);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = ask(self.address, method, &path, &body).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(status, 200, "{path} {body}: {:#}", answer["value"]);
        answer["value"].clone()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.send("POST", path, body)
    }

    /// Chromium's own tools, for what WebDriver has no word for.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Goes to an address; one that differs only behind the # loads nothing.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// How large it is, and whether it is dark. A narrow one is a phone.
    pub fn looks(&self, (width, height, is_dark): Looks) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let theme = if is_dark { "dark" } else { "light" };
        let theme = json!({ "name": "prefers-color-scheme", "value": theme });
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": [theme] }));
    }

    /// Minimizes its window: nobody sees the page any more.
    pub fn hide(&self) {
        self.post("/window/minimize", &json!({}));
    }

    /// Shows its window again.
    pub fn show(&self) {
        self.post("/window/rect", &json!({ "width": 1280, "height": 800 }));
    }

    /// What a script in the page returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The same of one that calls its last argument when it has ended.
    pub fn run_to_end(&self, script: &str) -> Value {
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        self.post("/timeouts", &json!({ "script": patience }));
        self.post("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// An expression's value in the page, as text.
    pub fn text(&self, expression: &str) -> String {
        match self.run(&format!("return {expression};")) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// Waits until an expression is true in the page.
    pub fn wait(&self, expression: &str) {
        let until = std::time::Instant::now() + PATIENCE;
        while !self.run(&format!("return Boolean({expression});")).as_bool().unwrap() {
            if std::time::Instant::now() > until {
                let seen = self.text("document.body.innerText");
                panic!("not so: {expression}\n{:#?}\n{seen}", self.log("browser"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub fn press(&self, keys: &[&str]) {
        let presses: Vec<Value> = keys
            .iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": presses });
        self.post("/actions", &json!({ "actions": [keyboard] }));
    }

    /// Types a text.
    pub fn type_text(&self, text: &str) {
        let letters: Vec<String> = text.chars().map(String::from).collect();
        self.press(&letters.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Goes with the mouse to the middle of the first that a selector finds, and presses.
    pub fn click(&self, selector: &str) {
        self.wait(&format!("document.querySelector({})", json!(selector)));
        let found = self.run(&format!(
            "const node = document.querySelector({});
             node.scrollIntoView({{ block: 'nearest' }});
             const box = node.getBoundingClientRect();
             return [box.x + box.width / 2, box.y + box.height / 2];",
            json!(selector)
        ));
        let [x, y] = [0, 1].map(|at| found[at].as_f64().unwrap().round());
        let go = json!({ "type": "pointerMove", "duration": 0, "x": x, "y": y });
        let [down, up] =
            ["pointerDown", "pointerUp"].map(|kind| json!({ "type": kind, "button": 0 }));
        let mouse = json!({
            "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" },
            "actions": [go, down, up],
        });
        self.post("/actions", &json!({ "actions": [mouse] }));
    }

    /// What the page, or the browser, has noted since it was last asked.
    pub fn log(&self, kind: &str) -> Vec<Value> {
        self.post("/se/log", &json!({ "type": kind })).as_array().unwrap().clone()
    }

    /// A picture of what is seen, below target/.
    pub fn screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&folder).unwrap();
        let picture = self.send("GET", "/screenshot", &Value::Null);
        let bytes = BASE64_STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }
}

/// A chromedriver, and where it listens.
fn start_driver(program: &Path) -> (Child, SocketAddr) {
    let mut command = Command::new(program);
    command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut driver = command.spawn().unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.by_ref().find_map(|line| {
        let line = line.unwrap();
        let (_, port) = line.split_once("started successfully on port ")?;
        Some(port.trim_end_matches('.').parse::<u16>().unwrap())
    });
    std::thread::spawn(move || lines.for_each(drop));
    (driver, SocketAddr::from(([127, 0, 0, 1], port.expect("chromedriver says where it listens"))))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser's processes end with the session.
        let _ = ask(self.address, "DELETE", &format!("/session{}", self.session), "");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
