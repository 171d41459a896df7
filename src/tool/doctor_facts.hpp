// What `ztna doctor` finds out about this machine before anything is judged. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "identity/inspection.hpp"
#include "identity/principal.hpp"

namespace ztna::tool {

struct EnvFacts {
  std::string path;
  config::EnvironmentFile file;
};

// What a daemon of this role would be told.
struct ConfigFacts {
  std::vector<base::Error> errors;  // values that are no values
  std::vector<base::Error> gaps;    // as config::Parsed has them
  std::vector<std::string> warnings;
  std::vector<base::HostPort> intermediates;
  config::IdentityFiles identity;
  std::vector<std::string> services;  // that are named: to be served, or to be reached
  bool from_daemon = false;           // nobody names Intermediates or certificates but the daemon
  std::string not_here;  // the certificate that is named, when the daemon's took its place
};

struct NameFacts {
  base::HostPort host;
  bool literal = false;  // an IP address: nobody is asked
  std::vector<base::Address> addresses;
  bool in_time = true;  // false: no answer within `lookup_limit`
};

// One STUN question, RFC 8489.
struct AskedFacts {
  base::HostPort host;
  base::Address server;
  bool second = false;                  // the port that netcheck needs besides
  std::optional<base::Address> mapped;  // whom the server saw; nothing: no answer
  base::Address local;                  // of this machine, when it answered
  base::Duration rtt{};
  std::string not_sent;  // why nothing could be sent
};

// A UDP port of this machine that the daemon needs.
struct PortFacts {
  std::string flag;  // "--p2p-listen-port"
  base::Address address;
  std::optional<base::Error> error;  // why it cannot be bound now
};

struct ClockFacts {
  bool known = false;  // does the kernel tell?
  bool synchronised = false;
  base::Duration error_at_most{};
};

struct FileFacts {
  std::string path;
  std::optional<base::Error> error;  // why it cannot be read
  bool missing = false;
  std::string text;
  unsigned mode = 0;  // permission bits; 0: unknown
};

struct IdentityFacts {
  FileFacts certificate, key, roots;
  bool in_use = false;  // the certificate's file is the running daemon's
  identity::Inspection inspection;
  base::Status accepted;  // what a daemon says to all of it
};

struct DaemonFacts {
  std::string socket;                   // empty: none of the usual ones exists
  std::string looked_for;               // where, then
  bool off = false;                     // --control off: it cannot be asked
  std::optional<base::Error> error;     // of asking
  std::optional<std::string> document;  // /v1/status
};

struct DoctorFacts {
  identity::Role role = identity::Role::agent;
  std::string role_told_by;  // "as --role says", "as its certificate says", …
  std::string version;       // of this tool
  base::WallTime now;
  std::optional<EnvFacts> env;
  ConfigFacts config;
  std::vector<NameFacts> names;
  std::vector<AskedFacts> asked;
  std::vector<PortFacts> ports;
  ClockFacts clock;
  std::optional<IdentityFacts> identity;  // nothing: no files are named
  std::optional<FileFacts> policy;        // nothing: no file is named
  DaemonFacts daemon;
};

// What a wait may last at most.
inline constexpr base::Duration lookup_limit = std::chrono::seconds(2);
inline constexpr base::Duration answer_limit = std::chrono::seconds(2);
inline constexpr base::Duration daemon_limit = std::chrono::seconds(2);

}  // namespace ztna::tool
