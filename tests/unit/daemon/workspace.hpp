// A temporary folder with a real CA, certificates and a policy.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "daemon/frame.hpp"
#include "identity/authority.hpp"
#include "io/system_random.hpp"

namespace ztna::daemon {

class Workspace {
 public:
  Workspace() {
    std::string pattern = testing::TempDir() + "ztna-daemon-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    ca_ = identity::make_root("example.org", identity::KeyType::ecdsa_p256, 3650,
                              io::Loop::wall_now(), random_)
              .value();
    write("ca-cert.pem", ca_.certificate);
    write("policy.toml", "[[allow]]\nagents = [\"*\"]\nservices = [\"web\"]\n");
  }
  ~Workspace() { std::filesystem::remove_all(folder_); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // Writes cert.pem and key.pem.
  void issue(identity::Role role, const std::string& name, int days) {
    identity::LeafRequest leaf;
    leaf.role = role;
    leaf.name = name;
    leaf.days = days;
    if (role == identity::Role::connector) leaf.serve = {"web"};
    if (role == identity::Role::intermediate) leaf.dns = {"relay.example"};
    const std::string key = identity::make_key(identity::KeyType::ecdsa_p256).value();
    const auto issued =
        identity::issue_for_key(ca_, leaf, key, "key", io::Loop::wall_now(), random_);
    ASSERT_TRUE(issued) << issued.error().message();
    write("cert.pem", issued->certificate);
    write("key.pem", key);
  }
  // Of an Intermediate: everything on, ports and paths of this folder.
  [[nodiscard]] FrameOptions options() const {
    FrameOptions options;
    options.role = identity::Role::intermediate;
    options.version = "1.2.3";
    options.common.identity = {path("cert.pem"), path("key.pem"), path("ca-cert.pem")};
    options.common.health = base::Address::v4({127, 0, 0, 1}, 0);
    options.common.control = path("run/intermediate.sock");
    options.common.audit_log = path("audit.jsonl");
    options.policy_file = path("policy.toml");
    return options;
  }

 private:
  std::string folder_;
  io::SystemRandom random_;
  identity::CaPem ca_;
};

}  // namespace ztna::daemon
