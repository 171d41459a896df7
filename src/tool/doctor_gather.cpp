#include "tool/doctor_gather.hpp"

#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "config/values.hpp"
#include "daemon/trust.hpp"
#include "identity/authority.hpp"
#include "tool/control.hpp"
#include "tool/doctor_judge.hpp"
#include "tool/doctor_told.hpp"
#include "tool/status_json.hpp"

namespace ztna::tool {
namespace {

using base::ErrorCode;
using identity::Role;

constexpr std::array<Role, 3> all_roles = {Role::agent, Role::connector, Role::intermediate};

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string beside(const std::string& file, const std::string& name) {
  const auto slash = file.rfind('/');
  return (slash == std::string::npos ? "" : file.substr(0, slash + 1)) + name;
}

FileFacts read_facts(const std::string& path) {
  FileFacts facts;
  facts.path = path;
  struct stat info{};
  if (stat(path.c_str(), &info) == 0) {
    facts.mode = info.st_mode & 07777U;
  } else {
    facts.missing = errno == ENOENT;
  }
  if (auto text = config::read_file(path)) {
    facts.text = std::move(*text);
  } else {
    facts.error = text.error();
  }
  return facts;
}

ClockFacts read_clock() {
  ClockFacts facts;
  timex kernel{};  // modes 0: reads only
  const int state = adjtimex(&kernel);
  facts.known = state >= 0;
  facts.synchronised = state >= 0 && state != TIME_ERROR && (kernel.status & STA_UNSYNC) == 0;
  facts.error_at_most = std::chrono::microseconds(kernel.maxerror);
  return facts;
}

base::Result<std::string> ask_for_status(const std::string& socket,
                                         const DoctorProgress& progress) {
  ControlRequest request;
  request.socket = socket;
  request.timeout = progress_after;
  auto answer = ask_daemon(request);
  if (answer || answer.error().code != ErrorCode::timed_out) return answer;
  progress("waiting for the daemon at " + socket + ", " +
           std::to_string(daemon_limit / std::chrono::seconds(1)) + " s at most");
  request.timeout = daemon_limit - progress_after;
  return ask_daemon(request);
}

class Gathering {
 public:
  Gathering(const DoctorRequest& request, base::WallTime now) : request_(request) {
    facts_.version = request.version;
    facts_.now = now;
    inputs_ = config::from_process(0, nullptr);
    inputs_.partial = true;
    for (const std::string& each : request.intermediates) add_flag("--intermediate", each);
    if (!request.cert_dir.empty()) add_flag("--cert-dir", request.cert_dir);
    if (!request.control.empty()) add_flag("--control", request.control);
  }

  base::Result<DoctorFacts> run(base::Random& random) {
    if (auto read = read_env_file(); !read) return tl::unexpected(read.error());
    if (auto found = find_role(); !found) return tl::unexpected(found.error());
    auto told = read_as(facts_.role, inputs_of(facts_.role));
    if (!told) return tl::unexpected(told.error());
    told_ = std::move(*told);
    note_config();
    ask_the_daemon();
    fill_from_daemon();
    read_identity();
    read_policy();
    facts_.clock = read_clock();
    try_ports();
    facts_.names = look_up(facts_.config.intermediates, request_.on_progress);
    facts_.asked = ask_by_udp(facts_.names, second_port(), random, request_.on_progress);
    return std::move(facts_);
  }

 private:
  void add_flag(const char* flag, const std::string& value) {
    inputs_.arguments.insert(inputs_.arguments.end(), {flag, value});
  }

  // Agents know no --policy: theirs is looked at for its own sake.
  config::Inputs& inputs_of(Role role) {
    if (role != Role::agent && !request_.policy.empty()) add_flag("--policy", request_.policy);
    return inputs_;
  }

  // The file's names win over the process's, as when a shell or systemd has read it. Placeholders
  // and names that nobody reads are told of by themselves.
  base::Status read_env_file() {
    if (request_.env_file.empty()) return {};
    const auto text = config::read_file(request_.env_file);
    if (!text) return base::fail(ErrorCode::invalid_argument, text.error().message(), "--env");
    facts_.env = EnvFacts{request_.env_file, config::parse_environment_file(*text)};
    const std::vector<std::string> known = config::known_variables();
    for (const auto& entry : facts_.env->file.entries) {
      if (!std::ranges::binary_search(known, entry.name)) continue;
      inputs_.environment[entry.name] = is_placeholder(entry.value) ? "" : entry.value;
    }
    add_what_the_unit_says(request_.env_file);
    return {};
  }

  // Of the packages' units: what their file does not name is where they say.
  void add_what_the_unit_says(const std::filesystem::path& named) {
    const std::filesystem::path folder = "/etc/ztna";
    const std::filesystem::path file = std::filesystem::absolute(named).lexically_normal();
    const auto role = identity::parse_role(file.stem().string());
    if (file.parent_path() != folder || file.extension() != ".env" || !role) return;
    const auto say = [&](const char* name, const std::filesystem::path& value) {
      if (!in_file(name)) inputs_.environment[name] = value;
    };
    say("CERT_DIR", folder / file.stem());
    if (*role != Role::agent) say("ZTNA_POLICY", folder / "policy.toml");
  }

  // Where the Intermediate's second STUN port is, until it says so itself. No daemon reads the
  // variable.
  [[nodiscard]] std::uint16_t second_port() const {
    constexpr std::uint16_t usual = 4435;
    const auto said = in_file("STUN_ALT_PORT");
    if (!said) return usual;
    return static_cast<std::uint16_t>(config::parse_number(*said, 1, 65535).value_or(usual));
  }

  [[nodiscard]] std::optional<std::string> in_file(std::string_view name) const {
    if (!facts_.env) return std::nullopt;
    const auto& entries = facts_.env->file.entries;
    const auto found = std::ranges::find_if(entries, [&](const auto& e) { return e.name == name; });
    return found == entries.end() ? std::nullopt : std::optional(found->value);
  }

  base::Status find_role() {
    const auto found = [&](Role role, std::string by) {
      facts_.role = role;
      facts_.role_told_by = std::move(by);
      return base::Status{};
    };
    if (request_.role) return found(*request_.role, "as --role says");
    // Which role it is read as makes no difference to the certificate's place.
    config::Inputs copy = inputs_;
    const auto told = read_as(Role::agent, copy);
    if (!told) return tl::unexpected(told.error());
    if (const auto text = config::read_file(told->identity.certificate)) {
      if (const auto leaf = identity::read_leaf(*text, told->identity.certificate)) {
        return found(leaf->principal.role, "as its certificate says");
      }
    }
    if (!request_.control.empty()) {
      const auto answer = ask_for_status(request_.control, request_.on_progress);
      const auto status = answer ? parse_status(*answer) : tl::unexpected(answer.error());
      const auto role = status ? identity::parse_role(text(*status, "role")) : std::nullopt;
      if (role) return found(*role, "as the daemon says");
    }
    for (const Role role : all_roles) {
      for (const auto& path : config::control_candidates(to_string(role), inputs_.environment)) {
        if (exists(path)) return found(role, "whose control socket is here");
      }
    }
    return found(Role::agent, "unless --role says otherwise");
  }

  void note_config() {
    ConfigFacts& config = facts_.config;
    config.errors = told_.errors;
    config.gaps = told_.gaps;
    config.warnings = told_.warnings;
    config.intermediates = told_.intermediates;
    config.identity = told_.identity;
    if (facts_.role == Role::intermediate) return;
    config.services = told_.services;
    const std::string& service = inputs_.environment["SERVICE_ID"];
    const bool is_new = std::ranges::find(config.services, service) == config.services.end();
    if (is_new && identity::is_valid_name(service)) config.services.push_back(service);
  }

  void ask_the_daemon() {
    DaemonFacts& daemon = facts_.daemon;
    daemon.off = told_.control_off;
    if (daemon.off) return;
    const auto usual = config::control_candidates(to_string(facts_.role), inputs_.environment);
    if (!told_.control.empty() && std::ranges::find(usual, told_.control) == usual.end()) {
      daemon.socket = told_.control;
    } else {
      const auto found = std::ranges::find_if(usual, exists);
      if (found != usual.end()) daemon.socket = *found;
      for (const std::string& path : usual) {
        daemon.looked_for += (daemon.looked_for.empty() ? "" : ", ") + path;
      }
    }
    if (daemon.socket.empty()) return;
    auto answer = ask_for_status(daemon.socket, request_.on_progress);
    if (answer) {
      daemon.document = std::move(*answer);
    } else {
      daemon.error = answer.error();
    }
  }

  // A daemon that runs knows what nobody says here: what its own flags were.
  void fill_from_daemon() {
    if (!facts_.daemon.document) return;
    const auto status = parse_status(*facts_.daemon.document);
    if (!status || text(*status, "role") != to_string(facts_.role)) return;
    ConfigFacts& config = facts_.config;
    const auto filled = [&](const char* flag) {
      config.from_daemon = true;
      std::erase_if(config.gaps, [&](const base::Error& gap) { return gap.where == flag; });
    };
    if (config.intermediates.empty()) {
      for (const Json& uplink : list(*status, "uplinks")) {
        if (facts_.role == Role::intermediate) break;
        const auto host = base::parse_host_port(text(uplink, "intermediate"));
        if (host) config.intermediates.push_back(*host);
      }
      if (!config.intermediates.empty()) filled("--intermediate");
    }
    const std::string certificate = text(member(*status, "certificate"), "file", "");
    // The folder that an environment file names may be that of another machine's daemon.
    std::error_code error;
    const auto found = std::filesystem::status(config.identity.certificate, error).type();
    const bool elsewhere =
        request_.cert_dir.empty() && found == std::filesystem::file_type::not_found;
    if (elsewhere && !certificate.empty()) {
      config.not_here = config.identity.certificate;
      config.identity = {certificate, beside(certificate, "key.pem"),
                         beside(certificate, "ca-cert.pem")};
      filled("--cert-dir");
    }
    const auto named = [&](const char* name) { return !inputs_.environment[name].empty(); };
    if (facts_.role == Role::intermediate && !named("ZTNA_LISTEN") && !named("ZTNA_CONFIG")) {
      take_listeners(*status);
    }
    const std::string policy = text(member(*status, "policy"), "file", "");
    if (told_.policy.empty()) told_.policy = policy;
  }

  // Nobody names --listen: not the usual place counts, but where it really is.
  void take_listeners(const Json& status) {
    const auto is_usual = [](const UdpListener& each) { return each.flag == "--listen"; };
    std::vector<UdpListener> listeners;
    for (const Json& each : list(status, "listen")) {
      const auto address = base::Address::parse(scalar_text(each, ""));
      const bool told = address && std::ranges::any_of(told_.listeners, [&](const auto& other) {
                          return !is_usual(other) && other.address == *address;
                        });
      if (address && !told) listeners.push_back({"--listen", *address, true, false});
    }
    if (listeners.empty()) return;
    std::erase_if(told_.listeners, is_usual);
    told_.listeners.insert(told_.listeners.end(), listeners.begin(), listeners.end());
  }

  [[nodiscard]] bool is_daemons(const std::string& certificate) const {
    if (!facts_.daemon.document) return false;
    const auto status = parse_status(*facts_.daemon.document);
    if (!status) return false;
    std::error_code error;
    return std::filesystem::equivalent(text(member(*status, "certificate"), "file", ""),
                                       certificate, error);
  }

  void read_identity() {
    const config::IdentityFiles& files = facts_.config.identity;
    if (files.certificate.empty() || files.key.empty() || files.roots.empty()) return;
    IdentityFacts id;
    id.certificate = read_facts(files.certificate);
    id.key = read_facts(files.key);
    id.roots = read_facts(files.roots);
    identity::Credentials::Pem pem;
    pem.certificate = id.certificate.text;
    pem.certificate_where = files.certificate;
    pem.key = id.key.text;
    pem.key_where = files.key;
    pem.roots = id.roots.text;
    pem.roots_where = files.roots;
    id.inspection = identity::inspect(pem, facts_.now);
    id.in_use = is_daemons(files.certificate);
    const auto trust = daemon::load_trust(files, "", facts_.role, facts_.now);
    if (!trust) id.accepted = tl::unexpected(trust.error());
    facts_.identity = std::move(id);
  }

  void read_policy() {
    std::string path = told_.policy;
    if (facts_.role == Role::agent) {
      path = request_.policy.empty() ? inputs_.environment["ZTNA_POLICY"] : request_.policy;
    }
    const std::string& certificate = facts_.config.identity.certificate;
    if (path.empty() && !certificate.empty() && exists(beside(certificate, "policy.toml"))) {
      path = beside(certificate, "policy.toml");
    }
    if (!path.empty()) facts_.policy = read_facts(path);
  }

  void try_ports() {
    for (const UdpListener& listener : told_.listeners) {
      const auto error = why_not_bound(listener.address, listener.dual_stack);
      if (error && listener.may_lack && error->code != ErrorCode::already_exists) continue;
      facts_.ports.push_back({listener.flag, listener.address, error});
    }
  }

  const DoctorRequest& request_;
  config::Inputs inputs_;
  Told told_;
  DoctorFacts facts_;
};

}  // namespace

base::Result<DoctorFacts> gather(const DoctorRequest& request, base::Random& random,
                                 base::WallTime now) {
  return Gathering(request, now).run(random);
}

}  // namespace ztna::tool
