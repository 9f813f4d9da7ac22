//! The page: its routes as a client meets them, and what a browser shows.

mod browser;
mod events;
mod page;
mod routes;
mod screenshots;
mod support;
