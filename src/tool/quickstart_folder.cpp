#include "tool/quickstart_folder.hpp"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "tool/ca_files.hpp"
#include "tool/ca_folder.hpp"

namespace ztna::tool {
namespace {

namespace fs = std::filesystem;
using base::ErrorCode;

// Sockets have short paths; asked before anything is made.
base::Status check_length(const std::string& path, const std::string& where) {
  const std::size_t longest = path.size() + std::strlen("/intermediate.sock");
  if (longest < sizeof(sockaddr_un::sun_path)) return {};
  return base::fail(ErrorCode::invalid_argument,
                    "is too long for the sockets in it, expected a shorter path", where);
}

base::Result<std::string> make_temporary() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  if (error) {
    return base::fail(ErrorCode::invalid_argument, "is no folder for temporary files", "TMPDIR",
                      error.message());
  }
  std::string path = (parent / "ztna-quickstart-XXXXXX").string();
  if (auto fits = check_length(path, path); !fits) return tl::unexpected(fits.error());
  if (mkdtemp(path.data()) != nullptr) return path;
  return base::fail(ErrorCode::unavailable, "cannot be made", path, std::strerror(errno));
}

base::Result<std::string> make_named(const std::string& dir) {
  const std::string where = "--dir \"" + dir + "\"";
  const auto refused = [&](std::string what, std::string cause = {}) {
    return base::fail(ErrorCode::invalid_argument, std::move(what), where, std::move(cause));
  };
  std::error_code error;
  std::string path = fs::absolute(dir, error).lexically_normal().string();
  if (error) return refused("is no usable path", error.message());
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (auto fits = check_length(path, where); !fits) return tl::unexpected(fits.error());
  if (mkdir(path.c_str(), 0700) == 0) return path;
  if (errno != EEXIST) return refused("cannot be made", std::strerror(errno));
  if (!fs::is_directory(path, error)) return refused("is not a folder");
  const bool empty = fs::is_empty(path, error);
  if (error) return refused("cannot be read", error.message());
  if (!empty) return refused("is not empty, expected a new or empty folder");
  if (chmod(path.c_str(), 0700) == 0) return path;
  return refused("cannot be made private", std::strerror(errno));
}

std::string policy_text(const std::vector<std::string>& services) {
  std::string names;
  for (const std::string& service : services) {
    names += (names.empty() ? "\"" : ", \"") + service + "\"";
  }
  return "# What is not allowed here is denied.\n"
         "[[serve]]\n"
         "connectors = [\"" +
         std::string(quickstart_connector) +
         "\"]\n"
         "services   = [" +
         names +
         "]\n\n"
         "[[allow]]\n"
         "agents   = [\"" +
         quickstart_agent +
         "\"]\n"
         "services = [" +
         names + "]\n";
}

}  // namespace

QuickstartFolder::~QuickstartFolder() {
  if (!temporary_) return;
  std::error_code ignored;  // what is left is private and in the temporary folder
  fs::remove_all(path_, ignored);
}

base::Status QuickstartFolder::create(const std::string& dir) {
  auto path = dir.empty() ? make_temporary() : make_named(dir);
  if (!path) return tl::unexpected(path.error());
  path_ = std::move(*path);
  temporary_ = dir.empty();
  return {};
}

base::Status QuickstartFolder::fill(const std::vector<std::string>& services,
                                    Context& context) const {
  std::ostringstream unread;  // these commands talk more than a quickstart should
  Context quiet{unread, unread, context.random, context.now};
  InitOptions init;
  init.trust_domain = quickstart_domain;
  init.out = at("ca");
  if (auto made = init_ca(init, quiet); !made) return made;

  identity::LeafRequest intermediate{.role = identity::Role::intermediate,
                                     .name = quickstart_intermediate};
  intermediate.ip = {"127.0.0.1"};
  identity::LeafRequest connector{.role = identity::Role::connector, .name = quickstart_connector};
  connector.serve = services;
  const identity::LeafRequest agent{.role = identity::Role::agent, .name = quickstart_agent};
  for (const identity::LeafRequest& leaf : {intermediate, connector, agent}) {
    IssueOptions issue;
    issue.ca_dir = init.out;
    issue.leaf = leaf;
    issue.out = at(std::string(identity::to_string(leaf.role)));
    if (auto issued = issue_certificate(issue, quiet); !issued) return issued;
  }
  return write_files(path_, {{"policy.toml", policy_text(services)}}, Existing::refuse);
}

}  // namespace ztna::tool
