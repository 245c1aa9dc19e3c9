//! HTTP as a program speaks it to an admin port, and to what drives a browser.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// The status and the body of an answer.
pub fn get(admin: SocketAddr, path: &str) -> (u16, String) {
    ask(admin, "GET", path, "").unwrap()
}

/// The same with a method and a body of JSON.
pub fn ask(to: SocketAddr, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && answer.read_line(&mut head)? > 0 {}
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = Vec::new();
    match length {
        // Whoever answers may keep the connection all the same.
        Some(length) => answer.take(length).read_to_end(&mut body)?,
        None => answer.read_to_end(&mut body)?,
    };
    let status = head.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {head:?}"));
    Ok((status.parse().unwrap(), String::from_utf8(body).unwrap()))
}

/// The series that it shows to Prometheus, with their labels.
pub fn series(admin: SocketAddr) -> BTreeSet<String> {
    let (status, metrics) = get(admin, "/metrics");
    assert_eq!(status, 200, "{metrics}");
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}
