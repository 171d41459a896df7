#include "daemon/trust.hpp"

#include <sys/stat.h>

#include <string_view>

#include "config/config.hpp"

namespace ztna::daemon {
namespace {

void judge_key(const std::string& path, std::vector<std::string>& warnings) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !is_open_to_others(info.st_mode)) return;
  warnings.push_back("Others may use this identity, chmod g-w,o= " + path);
}

// The error of a file that cannot be read says who named it.
base::Result<std::string> read_named(const std::string& path, std::string_view flag) {
  auto content = config::read_file(path);
  if (content) return content;
  base::Error error = content.error();
  error.what.append(", expected the file of ").append(flag);
  return tl::unexpected(error);
}

}  // namespace

base::Result<Trust> load_trust(const config::IdentityFiles& files, const std::string& policy_file,
                               identity::Role role, base::WallTime now) {
  identity::Credentials::Pem pem;
  const auto read = [](const std::string& path, std::string& text, std::string& where,
                       std::string_view flag) {
    auto content = read_named(path, flag);
    if (!content) return base::Status(tl::unexpected(content.error()));
    text = std::move(*content);
    where = path;
    return base::Status{};
  };
  base::Status status =
      read(files.certificate, pem.certificate, pem.certificate_where, "--cert or --cert-dir");
  if (status) status = read(files.key, pem.key, pem.key_where, "--key or --cert-dir");
  if (status) status = read(files.roots, pem.roots, pem.roots_where, "--ca or --cert-dir");
  if (status && !files.public_roots.empty()) {
    status = read(files.public_roots, pem.web_roots, pem.web_roots_where, "--public-roots");
  }
  if (!status) return tl::unexpected(status.error());
  auto credentials = identity::Credentials::load(pem, now);
  if (!credentials) return tl::unexpected(credentials.error());

  const identity::Principal& self = (*credentials)->self();
  if (self.role != role) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "is the certificate of role " + std::string(to_string(self.role)) +
                          ", expected role " + std::string(to_string(role)),
                      files.certificate);
  }
  if (self.trust_domain.empty()) {
    // A public certificate proves a host; whose nodes may connect is then said by the roots.
    return base::fail(base::ErrorCode::invalid_argument,
                      "is no certificate of the CA in " + files.roots +
                          ", and as a public one it needs a CA there that was made by ztna ca init",
                      files.certificate);
  }
  Trust trust{std::move(*credentials), nullptr, {}};
  judge_key(files.key, trust.warnings);
  if (policy_file.empty()) return trust;
  const auto text = read_named(policy_file, "--policy");
  if (!text) return tl::unexpected(text.error());
  auto policy = policy::Policy::parse(*text, policy_file);
  if (!policy) return tl::unexpected(policy.error());
  if (policy->counts().lets_nobody_in()) {
    trust.warnings.push_back(policy_file +
                             " lets nobody reach anything, add [[serve]] and [[allow]] blocks");
  }
  trust.policy = std::make_shared<const policy::Policy>(std::move(*policy));
  return trust;
}

bool is_open_to_others(unsigned mode) {
  constexpr unsigned others = 0007, group_writes = 0020;
  return (mode & (others | group_writes)) != 0;
}

std::int64_t days_left(base::WallTime not_after, base::WallTime now) {
  constexpr std::int64_t day = 24 * 60 * 60;
  const std::int64_t seconds = not_after.seconds - now.seconds;
  return seconds >= 0 ? seconds / day : -((-seconds + day - 1) / day);
}

}  // namespace ztna::daemon
