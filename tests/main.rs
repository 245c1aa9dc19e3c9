//! The behaviour of the real binary, a file for each feature: `cargo test --test behaviour
//! import::` runs one.
//!
//! One program for all of them: each program more would link the whole project once more.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod admin;
mod api;
mod backup;
mod bad_input;
mod bench;
mod cli;
mod client;
mod compat;
mod compat_bincode;
mod cores;
mod crash;
mod data_folder;
mod deletes;
mod doctor;
mod examples;
mod explore;
mod export;
mod faults;
mod grid;
mod grid_agent;
mod grid_api;
mod grid_cli;
mod grid_client;
mod grid_faults;
mod grid_frozen;
mod grid_old;
mod import;
mod listing;
mod monitoring;
mod namespaces;
mod old_server;
mod output;
mod packages;
mod page;
mod pages;
mod paths;
mod python;
mod read_only;
mod repair;
mod resharding;
mod round_trip;
mod search;
mod settings;
mod signals;
mod simulate;
mod slow;
mod startup;
mod streams;
mod support;
mod systemd;
mod takeover;
mod takeover_load;
mod tidy;
mod top;
mod tune;
mod verify;
