#include "tool/quickstart.hpp"

#include <algorithm>
#include <array>
#include <ostream>

#include "base/bytes.hpp"
#include "io/http_client.hpp"
#include "io/loop.hpp"
#include "tool/control.hpp"
#include "tool/process.hpp"
#include "tool/process_memory.hpp"
#include "tool/quickstart_backend.hpp"
#include "tool/quickstart_daemons.hpp"
#include "tool/quickstart_folder.hpp"
#include "tool/quickstart_page.hpp"
#include "tool/quickstart_report.hpp"
#include "tool/status_format.hpp"

namespace ztna::tool {
namespace {

using base::ErrorCode;
using base::fail;
using base::Status;

// Far beyond what any step takes here; a slow machine shall still get there.
constexpr base::Duration step_limit = std::chrono::seconds(20);
constexpr base::Duration poll_interval = std::chrono::milliseconds(10);
constexpr base::Duration say_interval = std::chrono::seconds(2);
constexpr base::Duration fetch_limit = std::chrono::seconds(10);
// Daemons drain for 10 s at most.
constexpr base::Duration stop_patience = std::chrono::seconds(12);
constexpr std::size_t tail_lines = 12;

class Quickstart {
 public:
  Quickstart(const QuickstartOptions& options, Context& context)
      : options_(options), context_(context), progress_(options.json ? context.err : context.out) {}
  int run();

 private:
  Status prepare();
  Status start_all();
  Status start_page();
  Status start(const ProcessPlan& plan, const std::string& what);
  Status wait_ready(const std::string& name);
  template <class Ready>
  Status wait_for(const std::string& what, Ready ready);
  Status child_ended();
  base::Result<std::string> status_of(const std::string& name);
  Status visit_all();
  base::Result<Visit> visit(const config::Service& service);
  Status fetch(Visit& visit);
  Status gather();
  void search_memories();
  Status stay();
  bool stop();
  void fail_with(const base::Error& error);
  void say(const std::string& line) { progress_ << line << std::endl; }

  const QuickstartOptions& options_;
  Context& context_;
  std::ostream& progress_;
  QuickstartFolder folder_;  // outlives the processes that use it
  ProcessGroup processes_;
  std::string failed_;  // the process that is to blame
  std::vector<config::Service> services_;
  bool built_in_ = false;
  std::string marker_, page_;
  QuickstartReport report_;
};

std::string random_marker(base::Random& random) {
  std::array<std::uint8_t, 16> octets{};
  random.fill(octets);
  return base::to_hex(octets);
}

std::vector<std::string> names_of(const std::vector<config::Service>& services) {
  std::vector<std::string> names;
  for (const config::Service& service : services) names.push_back(service.name);
  return names;
}

Status Quickstart::prepare() {
  for (const config::Service& service : options_.expose) {
    if (auto there = check_backend(service); !there) return there;
  }
  if (auto made = folder_.create(options_.dir); !made) return made;
  report_.folder = folder_.path();
  report_.ztna = options_.self;
  say("==> Folder " + folder_.path() +
      (folder_.temporary() ? " (private; removed in the end, unless --dir names one)"
                           : " (private; stays)"));
  services_ = options_.expose;
  built_in_ = services_.empty();
  if (built_in_) {
    config::Service page;
    page.name = "web";
    page.health = config::Service::Health::tcp;
    services_.push_back(std::move(page));
  }
  if (auto made = folder_.fill(names_of(services_), context_); !made) return made;
  say(std::string("==> A CA, and certificates for intermediate ") + quickstart_intermediate +
      ", connector " + quickstart_connector + " and agent " + quickstart_agent);
  return {};
}

base::Result<std::string> Quickstart::status_of(const std::string& name) {
  ControlRequest request;
  request.socket = folder_.socket(name);
  request.timeout = std::chrono::seconds(3);
  return ask_daemon(request);
}

Status Quickstart::child_ended() {
  const Process& process = *processes_.ended();
  failed_ = process.name;
  return fail(ErrorCode::unavailable, "ended by itself: " + describe_end(*process.ended),
              process.name);
}

// Asks again and again, with a sleep that the end of a process or Ctrl-C cuts short. `ready` gives
// nothing once it is so, else what is missing.
template <class Ready>
Status Quickstart::wait_for(const std::string& what, Ready ready) {
  const base::Time begun = io::Loop::now();
  base::Time spoken = begun;
  while (true) {
    const std::optional<std::string> missing = ready();
    if (!missing) return {};
    switch (processes_.wait(poll_interval)) {
      case ProcessGroup::Wake::interrupted: return fail(ErrorCode::closed, "interrupted");
      case ProcessGroup::Wake::child_ended: return child_ended();
      case ProcessGroup::Wake::timeout: break;
    }
    const base::Time now = io::Loop::now();
    if (now - begun >= step_limit) {
      return fail(ErrorCode::timed_out, "not there after " + format_ms(base::to_ms(step_limit)),
                  what, *missing);
    }
    if (now - spoken >= say_interval) {
      spoken = now;
      say("    waiting for " + what + ": " + *missing);
    }
  }
}

Status Quickstart::wait_ready(const std::string& name) {
  failed_ = name;
  auto waited = wait_for(name, [&]() -> std::optional<std::string> {
    const auto status = status_of(name);
    return status ? not_ready(*status) : "its control socket is not open yet";
  });
  if (waited) failed_.clear();
  return waited;
}

Status Quickstart::start(const ProcessPlan& plan, const std::string& what) {
  if (auto started = processes_.start(plan); !started) return started;
  if (auto ready = wait_ready(plan.name); !ready) return ready;
  say("==> " + plan.name + " is up (process " + std::to_string(processes_.find(plan.name)->pid) +
      what + ")");
  return {};
}

Status Quickstart::start_page() {
  if (!built_in_) return {};
  marker_ = random_marker(context_.random);
  page_ = quickstart_page(marker_);
  if (auto up = start(plan_page(folder_, options_.self, marker_), ""); !up) return up;
  const auto status = status_of(page_process);
  const auto address = status ? listen_address(*status)
                              : base::Result<base::Address>(tl::unexpected(status.error()));
  if (!address) return tl::unexpected(address.error());
  services_.front().backend = {address->ip(), address->port()};
  return {};
}

Status Quickstart::start_all() {
  if (auto up = start_page(); !up) return up;
  if (auto up = start(plan_intermediate(folder_, options_.programs), ""); !up) return up;
  const auto status = status_of(intermediate_process);
  const auto address = status ? listen_address(*status)
                              : base::Result<base::Address>(tl::unexpected(status.error()));
  if (!address) return tl::unexpected(address.error());
  const std::string intermediate = address->to_string();

  std::string offers;
  for (const config::Service& service : services_) offers += ", " + service.to_string();
  const auto& programs = options_.programs;
  auto up = start(plan_connector(folder_, programs, intermediate, services_), offers);
  if (up) up = start(plan_agent(folder_, programs, intermediate, services_), "");
  if (!up) return up;
  for (const config::Service& service : services_) {
    auto seen = wait_for("service " + service.name, [&]() -> std::optional<std::string> {
      const auto agent = status_of(agent_process);
      if (agent && sees_service(*agent, service.name)) return std::nullopt;
      return "the Agent sees no healthy Connector for it";
    });
    if (!seen) return seen;
  }
  return {};
}

// The first fetch makes the session; the second shows what it costs from then on. A service of the
// user's own is asked once.
Status Quickstart::fetch(Visit& visit) {
  io::HttpClientRequest request;
  request.tcp = {visit.local.ip(), visit.local.port()};
  // A page that never ends has been reached all the same.
  request.timeout = request.at_most = fetch_limit;
  request.cancelled = [this] {
    return processes_.wait(base::Duration{}) == ProcessGroup::Wake::interrupted;
  };
  for (const bool again : {false, true}) {
    if (again && !built_in_) break;
    const base::Time begun = io::Loop::now();
    const auto answer = io::http_request(request);
    const double ms = base::to_ms(io::Loop::now() - begun);
    if (!answer) return tl::unexpected(answer.error());
    visit.outcome = Visit::Outcome::answered;
    visit.http_status = answer->status;
    visit.octets = answer->body.size();
    (again ? visit.second_ms.emplace() : visit.first_ms) = ms;
    if (!built_in_) continue;
    visit.as_served = answer->status == 200 && answer->body == page_;
    if (!*visit.as_served) {
      return fail(ErrorCode::protocol, "the page that arrived is not the page that was served");
    }
  }
  return {};
}

base::Result<Visit> Quickstart::visit(const config::Service& service) {
  const auto agent = status_of(agent_process);
  if (!agent) return tl::unexpected(agent.error());
  const auto local = forward_address(*agent, service.name);
  if (!local) return tl::unexpected(local.error());
  Visit visit;
  visit.service = service;
  visit.local = *local;
  if (service.transport != config::Transport::tcp) return visit;

  say("==> Fetching http://" + local->to_string() + "/ through the tunnel");
  auto fetched = fetch(visit);
  if (fetched) return visit;
  if (fetched.error().code == ErrorCode::closed) return fail(ErrorCode::closed, "interrupted");
  // What the Connector says it carried is proof enough for a service that speaks something else.
  const auto connector = status_of(connector_process);
  const bool carried = connector && flows_carried(*connector, service.name) > 0;
  const auto after = status_of(agent_process);
  const std::string failure = after ? last_failure(*after) : "";
  if (built_in_ || !carried || !failure.empty()) {
    failed_ = failure.empty() ? agent_process : connector_process;
    base::Error error = fetched.error();
    error.where = "service " + service.name;
    if (!failure.empty()) error.cause = "the Agent says: " + failure;
    return tl::unexpected(std::move(error));
  }
  visit.outcome = fetched.error().code == ErrorCode::protocol ? Visit::Outcome::not_http
                                                              : Visit::Outcome::connected;
  return visit;
}

Status Quickstart::visit_all() {
  for (const config::Service& service : services_) {
    auto visited = visit(service);
    if (!visited) return tl::unexpected(visited.error());
    report_.visits.push_back(std::move(*visited));
  }
  return {};
}

// Whether the Intermediate saw the page: its memory is searched, and the Agent's for comparison,
// because a search that cannot find anything proves nothing.
void Quickstart::search_memories() {
  if (!built_in_) return;
  const auto agent = search_memory(processes_.find(agent_process)->pid, marker_);
  const auto intermediate = search_memory(processes_.find(intermediate_process)->pid, marker_);
  if (agent && agent->found && intermediate && !intermediate->found) {
    report_.memory_searched = intermediate->octets;
  }
}

Status Quickstart::gather() {
  const auto agent = status_of(agent_process);
  if (!agent) return tl::unexpected(agent.error());
  const auto intermediate = status_of(intermediate_process);
  if (!intermediate) return tl::unexpected(intermediate.error());
  const bool tried = std::ranges::any_of(
      report_.visits, [](const Visit& v) { return v.outcome != Visit::Outcome::not_tried; });
  if (!tried) return {};
  auto session = session_facts(*agent);
  if (!session) return tl::unexpected(session.error());
  report_.session = std::move(*session);
  const auto relay = relay_facts(*intermediate, report_.session.id);
  if (!relay) return tl::unexpected(relay.error());
  report_.relay = *relay;
  search_memories();
  return {};
}

Status Quickstart::stay() {
  say("\nUp until Ctrl-C.");
  while (true) {
    switch (processes_.wait(std::chrono::hours(1))) {
      case ProcessGroup::Wake::interrupted: return {};
      case ProcessGroup::Wake::child_ended: return child_ended();
      case ProcessGroup::Wake::timeout: break;
    }
  }
}

// False: something did not end as it should.
bool Quickstart::stop() {
  say("==> Ending all processes");
  const std::vector<Process> failures = processes_.stop(stop_patience);
  for (const Process& process : failures) {
    context_.err << "ztna quickstart: " << process.name << " ended with "
                 << describe_end(*process.ended) << "; the end of " << process.log << ":\n"
                 << log_tail(process.log, tail_lines);
  }
  if (!failures.empty()) folder_.keep();
  return failures.empty();
}

void Quickstart::fail_with(const base::Error& error) {
  context_.err << "ztna quickstart: " << error.message() << std::endl;
  if (options_.json) context_.out << failure_json(error) << std::flush;
  if (services_.empty() || error.code == ErrorCode::closed) return;  // nothing to look at
  const std::string log = folder_.at(failed_ + ".log");
  if (const std::string tail = failed_.empty() ? "" : log_tail(log, tail_lines); !tail.empty()) {
    context_.err << "The end of " << log << ":\n" << tail;
  }
  folder_.keep();
  context_.err << "Everything stays in " << folder_.path() << " for you to look at." << std::endl;
}

int Quickstart::run() {
  if (const auto prepared = prepare(); !prepared) {
    fail_with(prepared.error());
    return prepared.error().code == ErrorCode::invalid_argument ? 2 : 1;
  }
  auto done = start_all();
  if (done) done = visit_all();
  if (done) done = gather();
  if (done) {
    progress_ << (options_.json ? "" : report_text(report_)) << std::flush;
    if (options_.json) context_.out << report_json(report_) << std::flush;
    if (!options_.once) {
      say(report_hints(report_));
      done = stay();
    }
  }
  if (!done) {
    fail_with(done.error());
    static_cast<void>(processes_.stop(std::chrono::seconds(2)));
    return 1;
  }
  return stop() ? 0 : 1;
}

}  // namespace

int run_quickstart(const QuickstartOptions& options, Context& context) {
  return Quickstart(options, context).run();
}

}  // namespace ztna::tool
