//! `sutra config`: what is set, to what, and where that came from.

use std::path::PathBuf;

use serde_json::json;

use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::settings::file::{self, Reader};
use crate::settings::list::{Setting, list, values};

/// A setting as it is for some commands.
struct Set {
    setting: Setting,
    value: String,
    from: String,
}

pub(crate) fn run(output: Output) -> Result<Answer, Failure> {
    let named = file::named(&std::env::args_os().collect::<Vec<_>>());
    let service = file::file(Reader::Service, named.as_deref())?;
    let client = file::file(Reader::Client, named.as_deref())?;
    let (of_services, of_clients) =
        (set(Reader::Service, service.as_ref())?, set(Reader::Client, client.as_ref())?);
    let unknown = unknown_variables();
    let value = json!({
        "services": {
            "file": service,
            "settings": of_services.iter().map(as_json).collect::<Vec<_>>(),
        },
        "others": {
            "file": client,
            "settings": of_clients.iter().map(as_json).collect::<Vec<_>>(),
        },
        "unknown_variables": unknown,
    });
    output.answer(&value, || {
        let mut text = section("serve, grid master and grid agent", service.as_ref(), &of_services);
        text += "\n";
        text += &section("all other commands", client.as_ref(), &of_clients);
        for variable in &unknown {
            text += &format!("\n{variable} is not a setting: nothing reads it\n");
        }
        text.trim_end().to_owned()
    })?;
    Ok(Answer::Yes)
}

/// What commands of this kind would find.
fn set(reader: Reader, file: Option<&PathBuf>) -> Result<Vec<Set>, Failure> {
    let in_file = file.map(|file| values(file)).transpose()?.unwrap_or_default();
    let found = list().into_iter().filter(|setting| setting.is_read_by(reader));
    let as_set = |setting: Setting| {
        let in_file = in_file.iter().find(|(key, _)| *key == setting.key);
        let (value, from) = match (std::env::var_os(&setting.variable), in_file, file) {
            (Some(value), _, _) => {
                (value.to_string_lossy().into_owned(), format!("variable {}", setting.variable))
            }
            (None, Some((_, value)), Some(file)) => {
                (value.clone(), format!("file {}", file.display()))
            }
            _ => (setting.default.clone(), "default".into()),
        };
        Set { setting, value, from }
    };
    Ok(found.map(as_set).collect())
}

fn as_json(set: &Set) -> serde_json::Value {
    let value = Some(&set.value).filter(|value| !value.is_empty());
    let Setting { key, variable, commands, .. } = &set.setting;
    json!({
        "setting": key,
        "value": value,
        "from": set.from,
        "variable": variable,
        "commands": commands,
    })
}

fn section(commands: &str, file: Option<&PathBuf>, all: &[Set]) -> String {
    let file = file.map_or_else(
        || "no settings file".to_owned(),
        |file| format!("settings file {}", file.display()),
    );
    let mut text = format!("{commands} ({file})\n");
    let width =
        |of: fn(&Set) -> &String| all.iter().map(|set| of(set).chars().count()).max().unwrap_or(0);
    let (keys, values) = (width(|set| &set.setting.key), width(|set| &set.value));
    for Set { setting, value, from } in all {
        text += &format!("  {:keys$}  {value:values$}  {from}\n", setting.key);
    }
    text
}

/// Variables that look like settings and are not.
fn unknown_variables() -> Vec<String> {
    let known = list();
    let is_known = |name: &String| {
        name == "SUTRA_CONFIG" || known.iter().any(|setting| setting.variable == *name)
    };
    let all = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut unknown: Vec<String> =
        all.filter(|name| name.starts_with("SUTRA_") && !is_known(name)).collect();
    unknown.sort_unstable();
    unknown
}
