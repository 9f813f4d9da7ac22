//! The page as a browser and other clients see it.

mod browser;
mod events;
mod explore;
mod page;
mod pipeline;
mod query;
mod routes;
mod screenshots;
mod support;
mod token;
mod visit;
mod weight;
