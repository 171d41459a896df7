#include "tool/netcheck_run.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "io/interfaces.hpp"
#include "io/loop.hpp"
#include "io/packet_pump.hpp"
#include "io/resolve.hpp"

namespace ztna::tool {
namespace {

using namespace std::chrono_literals;
using base::Address;
using base::Family;
using nat::Survey;
using nat::SurveyStep;

std::string name_of(Family family) { return family == Family::v4 ? "IPv4" : "IPv6"; }

std::string progress_of(SurveyStep step, const NetcheckFamily& family, base::Duration lifetime) {
  switch (step) {
    case SurveyStep::reach: return "asking " + family.servers.front().to_string() + " …";
    case SurveyStep::filters: return "who may answer? (silence takes 3 s to be sure of)";
    case SurveyStep::mappings: return "do all servers see the same address?";
    case SurveyStep::sizes_and_hairpin: return "packet sizes, and a packet to our own address …";
    case SurveyStep::lifetime:
      return "how long is silence forgiven? Up to " +
             std::to_string(std::chrono::duration_cast<std::chrono::seconds>(lifetime).count()) +
             " s …";
    case SurveyStep::done: break;
  }
  return "done";
}

// A survey with its sockets.
class Running : io::PacketPump::Engine {
 public:
  Running(io::Loop& loop, const NetcheckRequest& request, NetcheckFamily& family,
          base::Random& random, std::function<void()> on_done)
      : request_(request),
        family_(family),
        on_done_(std::move(on_done)),
        survey_({family.servers, request.longest_lifetime}, random, io::Loop::now()),
        pump_(loop, *this) {}

  [[nodiscard]] base::Status start() {
    io::UdpSocket::Options options;
    options.dual_stack = false;
    const Address any = family_.family == Family::v4 ? Address::v4({}, 0) : Address::v6({}, 0);
    for (std::size_t i = 0; i < survey_.socket_count(); ++i) {
      const auto id = pump_.add_socket(any, options);
      if (!id) return tl::unexpected(id.error());
    }
    pump_.pump();
    return {};
  }
  [[nodiscard]] const nat::SurveyReport& report() const { return survey_.report(); }
  [[nodiscard]] bool done() const { return survey_.done(); }

 private:
  void receive(const base::Incoming& packet, base::Time now) override {
    survey_.receive(packet, now);
  }
  void expire(base::Time now) override { survey_.expire(now); }
  [[nodiscard]] base::Time next_deadline() const override { return survey_.next_deadline(); }
  [[nodiscard]] base::Outgoing transmit(base::MutableBytes buffer, base::Time) override {
    const auto next = survey_.transmit();
    if (!next) return {};
    std::ranges::copy(next->payload, buffer.begin());
    base::Outgoing out;
    out.socket = next->socket;
    out.to = next->to;
    out.segment = out.size = next->payload.size();
    return out;
  }
  void after_round(base::Time) override {
    if (told_ == survey_.step()) return;
    told_ = survey_.step();
    const bool skipped = told_ == SurveyStep::lifetime && request_.longest_lifetime == 0s;
    if (request_.on_progress && !skipped) {
      request_.on_progress(name_of(family_.family) + ": " +
                           progress_of(*told_, family_, request_.longest_lifetime));
    }
    if (survey_.done()) on_done_();
  }

  const NetcheckRequest& request_;
  NetcheckFamily& family_;
  std::function<void()> on_done_;
  Survey survey_;
  io::PacketPump pump_;
  std::optional<SurveyStep> told_;
};

void look_up(io::Loop& loop, NetcheckResult& result) {
  std::size_t pending = result.intermediates.size();
  std::vector<std::unique_ptr<io::Resolve>> lookups;
  for (const base::HostPort& host : result.intermediates) {
    lookups.push_back(std::make_unique<io::Resolve>(loop, host, [&](const auto& addresses) {
      if (addresses.empty()) result.unknown_hosts.push_back(host.host);
      for (const Address& address : addresses) {
        auto& servers = address.is_v4() ? result.v4.servers : result.v6.servers;
        if (std::ranges::find(servers, address) == servers.end()) servers.push_back(address);
      }
      if (--pending == 0) loop.stop();
    }));
  }
  if (pending > 0) loop.run();
}

// Whether a packet can leave at all; what a loopback server needs, every machine has.
bool machine_has(Family family, const std::vector<Address>& servers) {
  if (std::ranges::any_of(servers, &Address::is_loopback)) return true;
  return std::ranges::any_of(io::interface_addresses(), [&](const Address& address) {
    return address.family() == family && !address.is_loopback() && !address.is_link_local();
  });
}

}  // namespace

base::Result<NetcheckResult> run_netcheck(const NetcheckRequest& request, base::Random& random) {
  io::Loop loop;
  NetcheckResult result;
  result.intermediates = request.intermediates;
  result.lifetime_asked = request.longest_lifetime > 0s;
  look_up(loop, result);
  std::vector<std::pair<NetcheckFamily*, std::unique_ptr<Running>>> all;
  const auto stop_when_done = [&] {
    if (std::ranges::all_of(all, [](const auto& each) { return each.second->done(); })) loop.stop();
  };
  for (NetcheckFamily* const family : {&result.v4, &result.v6}) {
    family->machine_has = machine_has(family->family, family->servers);
    if (family->servers.empty() || !family->machine_has) continue;
    all.emplace_back(family,
                     std::make_unique<Running>(loop, request, *family, random, stop_when_done));
  }
  for (const auto& [family, running] : all) {
    if (auto started = running->start(); !started) return tl::unexpected(started.error());
  }
  if (!all.empty()) loop.run();
  for (const auto& [family, running] : all) family->report = running->report();
  return result;
}

}  // namespace ztna::tool
