// Managed by charter-mail: changes are put back by the next run.
pref("general.config.filename", "charter-mail.cfg");
pref("general.config.obscure_value", 0);
// The script needs no more, and a fault in it could then never keep Thunderbird from starting.
pref("general.config.sandbox_enabled", true);
