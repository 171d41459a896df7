// The private folder of a quickstart: a CA, three identities, a policy, sockets and logs.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "tool/context.hpp"

namespace ztna::tool {

inline constexpr const char* quickstart_domain = "quickstart.internal";
inline constexpr const char* quickstart_intermediate = "relay";
inline constexpr const char* quickstart_connector = "home";
inline constexpr const char* quickstart_agent = "alice";

class QuickstartFolder {
 public:
  QuickstartFolder() = default;
  ~QuickstartFolder();  // removes a temporary one, unless keep() was called
  QuickstartFolder(const QuickstartFolder&) = delete;
  QuickstartFolder& operator=(const QuickstartFolder&) = delete;

  // Makes `dir`, which may exist but must be empty; empty: a temporary folder. Mode 0700.
  [[nodiscard]] base::Status create(const std::string& dir);
  void keep() { temporary_ = false; }

  // A CA and one --cert-dir for each role (intermediate/, connector/, agent/), by what `ztna ca`
  // does, and a policy that lets the agent reach `services` at the connector, and nothing else.
  [[nodiscard]] base::Status fill(const std::vector<std::string>& services, Context& context) const;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool temporary() const { return temporary_; }
  [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] std::string socket(const std::string& role) const { return at(role + ".sock"); }

 private:
  std::string path_;
  bool temporary_ = false;
};

}  // namespace ztna::tool
