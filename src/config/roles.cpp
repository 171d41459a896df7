#include "config/roles.hpp"

#include "config/values.hpp"

namespace ztna::config {
namespace {

using base::ErrorCode;
using base::fail;

constexpr std::uint16_t intermediate_port = 4433;

base::Result<base::HostPort> parse_intermediate_peer(const std::string& text) {
  return parse_peer(text, intermediate_port);
}

std::string joined_path(const std::string& directory, const char* name) {
  return directory + (directory.ends_with('/') ? "" : "/") + name;
}

std::string folder_of(const std::string& file) {
  const auto slash = file.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : file.substr(0, slash);
}

void note(Merged& merged, const std::string& option, const std::string& value) {
  merged.settings[option] = {Source::initial, {{value, "--" + option}}};
}

tl::unexpected<base::Error> missing(const std::string& option, const std::string& expected) {
  return fail(ErrorCode::invalid_argument, "is missing, expected " + expected, "--" + option);
}

base::Status resolve_identity(const Resolution& r, Merged& merged) {
  IdentityFiles& files = r.common.identity;
  const auto derive = [&](const char* option, std::string& path, const char* name) {
    if (!path.empty() || r.directory.empty()) return;
    path = joined_path(r.directory, name);
    note(merged, option, path);
  };
  derive("cert", files.certificate, "cert.pem");
  derive("key", files.key, "key.pem");
  derive("ca", files.roots, "ca-cert.pem");
  if (files.certificate.empty() && files.key.empty()) {
    return missing("cert-dir",
                   "--cert-dir DIR with cert.pem, key.pem and ca-cert.pem, or --cert, "
                   "--key and --ca");
  }
  if (files.certificate.empty()) return missing("cert", "--cert FILE, since --key is given");
  if (files.key.empty()) return missing("key", "--key FILE, since --cert is given");
  if (!files.roots.empty()) return {};
  const std::string beside = joined_path(folder_of(files.certificate), "ca-cert.pem");
  if (!r.inputs.file_exists(beside)) {
    return missing("ca", "--ca FILE, or " + in_quotes(beside) + " beside the certificate");
  }
  files.roots = beside;
  note(merged, "ca", beside);
  return {};
}

base::Status resolve_policy(const Resolution& r, Merged& merged) {
  if (r.policy == nullptr || !r.policy->empty()) return {};
  const std::string beside = joined_path(folder_of(r.common.identity.certificate), "policy.toml");
  if (!r.inputs.file_exists(beside)) {
    return missing("policy", "--policy FILE, or " + in_quotes(beside) + " beside the certificate");
  }
  *r.policy = beside;
  note(merged, "policy", beside);
  return {};
}

base::Status resolve_control(const Resolution& r, Merged& merged) {
  if (r.common.control == "off") {
    r.common.control.clear();
    return {};
  }
  if (!r.common.control.empty()) return {};
  std::string tried;
  for (const std::string& path : control_candidates(r.role, r.inputs.environment)) {
    const std::string directory = folder_of(path);
    if (r.inputs.directory_usable(directory)) {
      r.common.control = path;
      note(merged, "control", path);
      return {};
    }
    tried += (tried.empty() ? "" : " nor in ") + in_quotes(directory);
  }
  return fail(ErrorCode::invalid_argument,
              "cannot put the control socket into " + tried +
                  ", expected --control FILE or off, or a writable folder in ZTNA_RUNTIME_DIR",
              "--control");
}

}  // namespace

void add_identity(Table& table, std::string& directory, IdentityFiles& files, bool node) {
  table.group("Identity");
  table
      .path("cert-dir", "DIR", directory,
            "Folder with cert.pem, key.pem and ca-cert.pem, as `ztna ca issue` makes it.")
      .variable("CERT_DIR");
  Option& certificate = table.path("cert", "FILE", files.certificate,
                                   "Own certificate chain (PEM), instead of the folder's.");
  Option& key = table.path("key", "FILE", files.key, "Its private key (PEM).");
  table.path("ca", "FILE", files.roots, "The roots to trust (PEM, one or more).")
      .note("ca-cert.pem in --cert-dir, else beside --cert");
  certificate.note("cert.pem in --cert-dir");
  key.note("key.pem in --cert-dir");
  if (!node) return;
  certificate.alias("p2p-cert");
  key.alias("p2p-key");
  table.path("public-roots", "FILE", files.public_roots,
             "Public roots (PEM). An Intermediate may then prove the name that was dialled by "
             "their certificate, Let's Encrypt's for example; Debian keeps them in "
             "/etc/ssl/certs/ca-certificates.crt.");
}

void add_policy(Table& table, std::string& policy) {
  table
      .path("policy", "FILE", policy,
            "Who may offer and reach what; what it does not allow is denied.")
      .note("policy.toml beside the certificate");
}

void add_intermediates(Table& table, std::vector<base::HostPort>& intermediates) {
  table.group("Intermediates");
  table.list<base::HostPort>("intermediate", "HOST[:PORT]", intermediates, parse_intermediate_peer,
                             "Where to connect; port 4433 unless given. The variables "
                             "INTERMEDIATE_HOST and INTERMEDIATE_PORT together stand for one.");
}

void add_listen_address(Table& table, std::optional<base::Address>& address) {
  table.ip_or_any("p2p-listen-address", address,
                  "Local address of that port; any means every one, IPv4 and IPv6.");
}

void add_operations(Table& table, CommonOptions& common) {
  using logging::Format;
  using logging::Level;
  table.group("Operation");
  table.optional_address("health", common.health,
                         "Where /healthz, /readyz and /metrics are served (read only).");
  table
      .path("control", "FILE|off", common.control,
            "Unix socket for `ztna`: status, and everything that changes anything. Mode 0600.")
      .note("a socket in $ZTNA_RUNTIME_DIR, else /run/ztna, else $XDG_RUNTIME_DIR/ztna");
  table.path("audit-log", "FILE", common.audit_log,
             "Append every decision as a JSON line; reopened on SIGHUP.");
  table.choice<Level>("log-level", common.log_level,
                      {{"error", Level::error},
                       {"warn", Level::warn},
                       {"info", Level::info},
                       {"debug", Level::debug}},
                      "The least important messages to write to standard error.");
  table.choice<Format>("log-format", common.log_format,
                       {{"text", Format::text}, {"json", Format::json}},
                       "One line a message for people, or one JSON object a line.");
}

std::vector<std::string> control_candidates(std::string_view role, const Environment& environment) {
  const std::string socket = std::string(role) + ".sock";
  const auto own = environment.find("ZTNA_RUNTIME_DIR");
  if (own != environment.end() && !own->second.empty()) {
    return {joined_path(own->second, socket.c_str())};
  }
  std::vector<std::string> paths{"/run/ztna/" + socket};
  const auto user = environment.find("XDG_RUNTIME_DIR");
  if (user != environment.end() && !user->second.empty()) {
    paths.push_back(joined_path(user->second, "ztna/") + socket);
  }
  return paths;
}

std::vector<base::Error> resolve(const Resolution& resolution, Merged& merged) {
  std::vector<base::Error> gaps;
  const auto note_gap = [&](const base::Status& status) {
    if (!status) gaps.push_back(status.error());
  };
  note_gap(resolve_identity(resolution, merged));
  // The policy's place follows from the certificate's.
  if (!resolution.common.identity.certificate.empty()) note_gap(resolve_policy(resolution, merged));
  note_gap(resolve_control(resolution, merged));
  return gaps;
}

base::Error relocated(base::Error error, const Merged& merged) {
  if (error.where.starts_with("--")) error.where = merged.where(error.where.substr(2));
  return error;
}

base::Error printable(base::Error error) {
  error.what = one_line(error.what);
  error.where = one_line(error.where);
  error.cause = one_line(error.cause);
  return error;
}

}  // namespace ztna::config
