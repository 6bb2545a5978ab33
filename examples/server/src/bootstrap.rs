//! Creates the first administrator, and prints the next steps at the first start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use authfort::secrecy::{ExposeSecret, SecretString};
use authfort::{AuthFort, Error, Result};

use crate::settings::Settings;

/// Creates an administrator if there is none, and returns whether it did. Of several nodes that start together only one
/// creates it, because the address is unique.
pub async fn first_admin(auth: &AuthFort, settings: &Settings) -> Result<bool> {
    if auth.get_user_count().role(auth.admin_role()).await? > 0 {
        return Ok(false);
    }
    let password = match &settings.admin_password {
        Some(password) => password.clone(),
        None => authfort::generate_password()?,
    };
    let call = auth.create_user(&settings.admin_email).name("Administrator").email_verified(true);
    match call.role(auth.admin_role()).password(password.clone()).await {
        Ok(user) if settings.admin_password.is_none() => announce(&user.email, &password),
        Ok(user) => tracing::info!(email = user.email, "created the first administrator"),
        Err(Error::UserExists) => {
            tracing::warn!(email = settings.admin_email, "there is no administrator, and this address is taken");
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    Ok(true)
}

#[expect(clippy::print_stdout, reason = "it is shown once, to whoever started the server, and is in no log")]
fn announce(email: &str, password: &SecretString) {
    println!(
        "\nThe first administrator (this is shown once):\n  email     {email}\n  password  {}\n",
        password.expose_secret()
    );
}

/// Prints the next steps.
#[expect(clippy::print_stdout, reason = "it is for a person, at the first start alone")]
pub fn welcome(address: SocketAddr, settings: &Settings) {
    // A client cannot connect to the unspecified address ("all addresses").
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let (url, email) = (format!("http://{}", SocketAddr::new(ip, address.port())), &settings.admin_email);
    println!(
        "The server is ready. Sign in with the administrator's password in a browser:\n\n  \
         {url}/admin/ui/users\n\nor in a terminal:\n\n  \
         curl {url}/auth/login -H 'Content-Type: application/json' \
         -d '{{\"email\": \"{email}\", \"password\": \"PASSWORD\"}}'\n\n\
         and send the access_token of the answer with each request:\n\n  \
         curl {url}/admin/users -H 'Authorization: Bearer ACCESS_TOKEN'\n\n\
         The README has a tour; docs/guide/http-reference.md has every route.\n"
    );
}
