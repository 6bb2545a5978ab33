//! The first administrator.

use authfort::secrecy::{ExposeSecret, SecretString};
use authfort::{AuthFort, Error, Result};

use crate::settings::Settings;

/// Creates an administrator where there is none. Of several nodes that start together one does: the address is unique.
pub async fn first_admin(auth: &AuthFort, settings: &Settings) -> Result<()> {
    if auth.get_user_count().role(auth.admin_role()).await? > 0 {
        return Ok(());
    }
    let password = match &settings.admin_password {
        Some(password) => SecretString::from(password.as_str()),
        None => authfort::generate_password()?,
    };
    let call = auth.create_user(&settings.admin_email).name("Administrator").email_verified(true);
    match call.role(auth.admin_role()).password(password.clone()).await {
        Ok(user) if settings.admin_password.is_none() => announce(&user.email, &password),
        Ok(user) => tracing::info!(email = user.email, "created the first administrator"),
        Err(Error::UserExists) => {
            tracing::warn!(email = settings.admin_email, "there is no administrator, and this address is taken");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it is shown once, to whoever started the server, and is in no log")]
fn announce(email: &str, password: &SecretString) {
    println!(
        "\nThe first administrator (this is shown once):\n  email     {email}\n  password  {}\n",
        password.expose_secret()
    );
}
