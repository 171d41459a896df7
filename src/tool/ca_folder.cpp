#include "tool/ca_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <ostream>

#include "base/bytes.hpp"
#include "base/rfc3339.hpp"
#include "policy/policy.hpp"
#include "tool/ca_files.hpp"

namespace ztna::tool {
namespace {

constexpr const char* ca_certificate_name = "ca-cert.pem";
constexpr const char* ca_key_name = "ca-key.pem";
constexpr const char* index_name = "index.jsonl";
constexpr const char* certificate_name = "cert.pem";
constexpr const char* key_name = "key.pem";
constexpr const char* request_name = "request.csr";

std::string in(const std::string& folder, const char* name) {
  return (std::filesystem::path(folder) / name).string();
}

Existing existing_if(bool force) { return force ? Existing::replace : Existing::refuse; }

// Ends with the object, or with the process.
class FolderLock {
 public:
  [[nodiscard]] base::Status take(const std::string& folder) {
    const std::string path = in(folder, ".lock");
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int code = fd_ < 0 ? -1 : 0;
    while (code == 0 && (code = ::flock(fd_, LOCK_EX)) != 0 && errno == EINTR) code = 0;
    if (code == 0) return {};
    return base::fail(base::ErrorCode::unavailable, "cannot be locked", path, std::strerror(errno));
  }
  FolderLock() = default;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  int fd_ = -1;
};

base::Result<identity::CaPem> read_ca(const std::string& folder) {
  identity::CaPem ca;
  ca.certificate_where = in(folder, ca_certificate_name);
  ca.key_where = in(folder, ca_key_name);
  auto certificate = read_file(ca.certificate_where);
  if (!certificate) {
    certificate.error().what += ", expected a folder made by ztna ca init";
    return tl::unexpected(certificate.error());
  }
  ca.certificate = std::move(*certificate);
  auto key = read_file(ca.key_where);
  if (!key) return tl::unexpected(key.error());
  ca.key = std::move(*key);
  return ca;
}

base::Result<std::vector<IndexEntry>> read_index(const std::string& folder) {
  const std::string path = in(folder, index_name);
  const auto text = read_file(path, max_index);
  if (!text) return tl::unexpected(text.error());
  return parse_index(*text, path);
}

base::Status write_index(const std::string& folder, const std::vector<IndexEntry>& entries) {
  return write_files(folder, {{index_name, format_index(entries), private_mode}},
                     Existing::replace);
}

// A CA folder, locked, with what stands in it.
struct OpenCa {
  FolderLock lock;
  identity::CaPem pem;
  std::vector<IndexEntry> index;

  [[nodiscard]] base::Status open(const std::string& folder) {
    auto ca = read_ca(folder);
    if (!ca) return tl::unexpected(ca.error());
    pem = std::move(*ca);
    const auto locked = lock.take(folder);
    if (!locked) return locked;
    auto entries = read_index(folder);
    if (!entries) return tl::unexpected(entries.error());
    index = std::move(*entries);
    return {};
  }
};

// The index is written first: a certificate that the index does not know could not be revoked by
// name. When the files cannot be written, the index goes back.
base::Status record_and_write(const std::string& ca_dir, std::vector<IndexEntry> index,
                              const identity::Issued& issued, const std::string& out,
                              const std::vector<NewFile>& files, Existing existing) {
  const std::vector<IndexEntry> before = index;
  index.push_back(to_entry(issued));
  const auto recorded = write_index(ca_dir, index);
  if (!recorded) return recorded;
  auto written = write_files(out, files, existing);
  if (written) return written;
  const auto restored = write_index(ca_dir, before);
  if (!restored) written.error().cause += "; and the index could not be put back";
  return written;
}

// The policy's text with a [[revoke]] block for each key that it does not revoke yet.
base::Result<std::string> with_revocations(std::string text, const std::string& where,
                                           const std::vector<IndexEntry>& entries,
                                           base::WallTime now) {
  const auto before = policy::Policy::parse(text, where);
  if (!before) return tl::unexpected(before.error());
  std::vector<std::string> added;
  for (const IndexEntry& entry : entries) {
    identity::Spki spki{};
    if (!base::from_hex(entry.spki, spki)) {
      return base::fail(base::ErrorCode::invalid_argument,
                        "the index is damaged, \"" + entry.spki + "\" is not a SHA-256");
    }
    if (before->is_revoked(spki) || std::ranges::find(added, entry.spki) != added.end()) continue;
    added.push_back(entry.spki);
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += "\n[[revoke]]  # " + std::string(identity::to_string(entry.role)) + " " + entry.name +
            ", " + base::rfc3339(now) + "\nspki = \"" + entry.spki + "\"\n";
  }
  const auto after = policy::Policy::parse(text, where);
  if (!after) return tl::unexpected(after.error());
  return text;
}

void say_issued(const identity::Issued& issued, const std::string& path, Context& context) {
  context.out << path << ": " << issued.principal.uri() << ", serial " << issued.serial
              << ", valid until " << base::rfc3339(issued.principal.not_after) << "\n";
}

}  // namespace

base::Status init_ca(const InitOptions& options, Context& context) {
  auto ca = identity::make_root(options.trust_domain, options.key_type, options.days, context.now,
                                context.random);
  if (!ca) return tl::unexpected(ca.error());
  const auto written = write_files(options.out,
                                   {{ca_certificate_name, ca->certificate},
                                    {ca_key_name, ca->key, private_mode},
                                    {index_name, "", private_mode}},
                                   existing_if(options.force));
  if (!written) return written;
  context.out << in(options.out, ca_certificate_name) << ": the CA of " << options.trust_domain
              << "; keep " << in(options.out, ca_key_name) << " secret\n";
  return {};
}

base::Status request_certificate(const RequestOptions& options, Context& context) {
  const auto key = identity::make_key(options.key_type);
  if (!key) return tl::unexpected(key.error());
  const auto request = identity::make_signing_request(options.trust_domain, options.role,
                                                      options.name, *key, "the new key");
  if (!request) return tl::unexpected(request.error());
  const auto written =
      write_files(options.out, {{key_name, *key, private_mode}, {request_name, *request}},
                  existing_if(options.force));
  if (!written) return written;
  context.out << in(options.out, request_name) << ": take it to the CA, and there: ztna ca issue "
              << "--csr request.csr --role " << identity::to_string(options.role) << " --name "
              << options.name << " …\n";
  return {};
}

base::Status issue_certificate(const IssueOptions& options, Context& context) {
  const auto checked = identity::check_leaf_request(options.leaf);
  if (!checked) return checked;
  OpenCa ca;
  const auto opened = ca.open(options.ca_dir);
  if (!opened) return opened;
  std::vector<NewFile> files;
  base::Result<identity::Issued> issued;
  if (options.csr.empty()) {
    const auto key = identity::make_key(options.key_type);
    if (!key) return tl::unexpected(key.error());
    files.push_back({key_name, *key, private_mode});
    issued = identity::issue_for_key(ca.pem, options.leaf, *key, "the new key", context.now,
                                     context.random);
  } else {
    const auto request = read_file(options.csr);
    if (!request) return tl::unexpected(request.error());
    issued = identity::issue_for_request(ca.pem, options.leaf, *request, options.csr, context.now,
                                         context.random);
  }
  if (!issued) return tl::unexpected(issued.error());
  files.push_back({certificate_name, issued->certificate});
  files.push_back({ca_certificate_name, ca.pem.certificate});
  const auto done = record_and_write(options.ca_dir, std::move(ca.index), *issued, options.out,
                                     files, existing_if(options.force));
  if (!done) return done;
  say_issued(*issued, in(options.out, certificate_name), context);
  return {};
}

base::Status renew_certificate(const RenewOptions& options, Context& context) {
  OpenCa ca;
  const auto opened = ca.open(options.ca_dir);
  if (!opened) return opened;
  const std::string path = in(options.out, certificate_name);
  const auto old = read_file(path);
  if (!old) return tl::unexpected(old.error());
  const auto leaf = identity::read_leaf(*old, path);
  if (!leaf) return tl::unexpected(leaf.error());
  const identity::Principal& principal = leaf->principal;
  if (principal.role != options.role || principal.name != options.name) {
    return base::fail(base::ErrorCode::invalid_argument,
                      "is the certificate of " + std::string(to_string(principal.role)) + " " +
                          principal.name + ", expected " + std::string(to_string(options.role)) +
                          " " + options.name,
                      path);
  }
  const std::string spki = base::to_hex(principal.spki);
  if (std::ranges::any_of(
          ca.index, [&](const IndexEntry& entry) { return entry.revoked && entry.spki == spki; })) {
    return base::fail(base::ErrorCode::permission_denied,
                      "its key is revoked, expected a new one (ztna ca issue)", path);
  }
  const auto issued =
      identity::renew(ca.pem, *old, path, options.days, context.now, context.random);
  if (!issued) return tl::unexpected(issued.error());
  const auto done = record_and_write(options.ca_dir, std::move(ca.index), *issued, options.out,
                                     {{certificate_name, issued->certificate}}, Existing::replace);
  if (!done) return done;
  say_issued(*issued, path, context);
  return {};
}

base::Status revoke_certificate(const RevokeOptions& options, Context& context) {
  OpenCa ca;
  const auto opened = ca.open(options.ca_dir);
  if (!opened) return opened;
  const std::string wanted = options.serial.empty()
                                 ? std::string(to_string(options.role)) + " " + options.name
                                 : "serial " + options.serial;
  std::vector<IndexEntry> entries;
  std::ranges::copy_if(ca.index, std::back_inserter(entries), [&](const IndexEntry& entry) {
    return options.serial.empty() ? entry.role == options.role && entry.name == options.name
                                  : entry.serial == options.serial;
  });
  if (entries.empty()) {
    return base::fail(base::ErrorCode::not_found,
                      "no certificate of " + wanted + " was issued, expected one of ztna ca list",
                      in(options.ca_dir, index_name));
  }
  const auto text = read_file(options.policy);
  if (!text) return tl::unexpected(text.error());
  const auto revoking = with_revocations(*text, options.policy, entries, context.now);
  if (!revoking) return tl::unexpected(revoking.error());
  // The policy first: it is what takes effect.
  if (*revoking != *text) {
    const auto replaced = replace_file(options.policy, *revoking);
    if (!replaced) return replaced;
  }
  for (IndexEntry& entry : ca.index) {
    entry.revoked =
        entry.revoked || std::ranges::find(entries, entry.spki, &IndexEntry::spki) != entries.end();
  }
  const auto recorded = write_index(options.ca_dir, ca.index);
  if (!recorded) return recorded;
  context.out << options.policy << ": " << wanted
              << " is revoked; reload the daemons (SIGHUP) to cut it off\n";
  return {};
}

base::Status list_certificates(const std::string& ca_dir, bool json, Context& context) {
  const auto index = read_index(ca_dir);
  if (!index) return tl::unexpected(index.error());
  context.out << (json ? format_list_json(*index, context.now)
                       : format_list_table(*index, context.now));
  return {};
}

}  // namespace ztna::tool
