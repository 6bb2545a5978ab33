//! Serves the notes. `DATABASE_URL` names the database; the default is the file `notes.db` in the current folder.

use std::io::{Write, stdout};
use std::{env, error::Error, net::SocketAddr};

use authfort::{generate_password, secrecy::ExposeSecret};
use example_notes::{Db, app};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let url = env::var("DATABASE_URL").unwrap_or_else(|_| "sqlite://notes.db".into());
    let (db, auth) = Db::connect(&url).await?;
    // The first start creates an administrator and prints the password once.
    if auth.get_user_count().role(auth.admin_role()).await? == 0 {
        let password = generate_password()?;
        auth.create_user("admin@example.com")
            .role(auth.admin_role())
            .email_verified(true)
            .password(password.clone())
            .await?;
        let password = password.expose_secret();
        writeln!(
            stdout(),
            "http://127.0.0.1:3000/admin is the admin page; admin@example.com has the password {password}"
        )?;
    }
    let app = app(db, auth).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
