//! The page for people at `/`: one file that asks for nothing but this port's JSON.
//!
//! Its parts lie in `page/` and are put together here, in the order in which they build on each
//! other. A browser runs only the style and the script whose hashes stand in the policy; it lets
//! the page reach no other host, and no text of the server's become markup.

use std::sync::LazyLock;

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

const FRAME: &str = include_str!("page/index.html");

const STYLE: &str = concat!(
    include_str!("page/style.css"),
    include_str!("page/charts.css"),
    include_str!("page/explorer.css"),
);

const SCRIPT: &str = concat!(
    include_str!("page/js/elements.js"),
    include_str!("page/js/words.js"),
    include_str!("page/js/ask.js"),
    include_str!("page/js/place.js"),
    include_str!("page/js/samples.js"),
    include_str!("page/js/state.js"),
    include_str!("page/js/chart.js"),
    include_str!("page/js/slow.js"),
    include_str!("page/js/server.js"),
    include_str!("page/js/layout.js"),
    include_str!("page/js/walking.js"),
    include_str!("page/js/drawing.js"),
    include_str!("page/js/finder.js"),
    include_str!("page/js/graph.js"),
    include_str!("page/js/concept.js"),
    include_str!("page/js/tools.js"),
    include_str!("page/js/list.js"),
    include_str!("page/js/explorer.js"),
    include_str!("page/js/grid.js"),
    include_str!("page/js/page.js"),
);

/// The whole page, and what a browser may do with it.
struct Page {
    text: String,
    policy: String,
}

static PAGE: LazyLock<Page> =
    LazyLock::new(|| {
        let text = FRAME
            .replacen("<style></style>", &format!("<style>{STYLE}</style>"), 1)
            .replacen("></script>", &format!(">{SCRIPT}</script>"), 1);
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
            hash(STYLE),
            hash(SCRIPT)
        );
        Page { text, policy }
    });

/// A text's hash, as a policy names it.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

/// The page. Nobody is to keep it: the next release has another.
pub(crate) async fn page() -> Response {
    let headers: [(HeaderName, &str); 6] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, &PAGE.policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (StatusCode::OK, headers, PAGE.text.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_stand_in_the_page_as_they_were_hashed() {
        for (begin, text, end) in
            [("<style>", STYLE, "</style>"), ("<script type=\"module\">", SCRIPT, "</script>")]
        {
            let inside = PAGE.text.split(begin).nth(1).and_then(|rest| rest.split(end).next());
            assert_eq!(inside, Some(text), "{begin}");
            assert!(PAGE.policy.contains(&hash(text)), "{begin}");
        }
        assert!(!PAGE.policy.contains("unsafe"), "{}", PAGE.policy);
    }

    #[test]
    fn the_page_names_nothing_elsewhere() {
        // Namespaces of SVG are names, and nobody asks for them.
        let elsewhere = |word: &str| PAGE.text.matches(word).count();
        let names = elsewhere("http://www.w3.org/2000/svg");
        assert_eq!((elsewhere("http://"), elsewhere("https://")), (names, 0));
    }
}
