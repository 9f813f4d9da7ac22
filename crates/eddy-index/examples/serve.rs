//! Serves the endpoint alone: `cargo run -p eddy-index --example serve -- FOLDER [ADDRESS]`.
//!
//! Prints the address when it is ready (default 127.0.0.1:9200; port 0 takes a free one). Ctrl-C
//! ends it. `.ci/clients` runs the official clients against it.

use eddy_index::{Index, IndexSettings, router};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: serve FOLDER [ADDRESS]")?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9200".to_owned());
    let index = Index::open(IndexSettings::new(folder))?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    let ended = async {
        // Without signals to wait for, it is ended as any process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    axum::serve(listener, router(index)).with_graceful_shutdown(ended).await?;
    Ok(())
}
