// The UDP associations of one door: for each key (a local source address, say) one flow, made by
// the first datagram, ended by silence. Bounded: a new association pushes out the one that was
// silent longest.
//
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <list>
#include <string>
#include <unordered_map>

#include "agent/shell_flows.hpp"
#include "base/time.hpp"
#include "io/loop.hpp"

namespace ztna::agent {

template <class Key, class Hash = std::hash<Key>>
class UdpFlows final : private session::FlowHandler {
 public:
  struct Limits {
    base::Duration idle{};
    std::size_t max_associations = 1024;
  };
  // A datagram from the service for whoever `key` stands for.
  using Reply = std::function<void(const Key& key, base::BytesView payload)>;

  UdpFlows(io::Loop& loop, Flows& flows, Limits limits, Reply reply)
      : flows_(flows),
        limits_(limits),
        reply_(std::move(reply)),
        timer_(loop, [this] { expire(io::Loop::now()); }) {}
  ~UdpFlows() override {
    for (const Association& one : associations_) leave(one);
  }
  UdpFlows(const UdpFlows&) = delete;
  UdpFlows& operator=(const UdpFlows&) = delete;

  // Call Flows::pump() after a batch of these.
  void send(const Key& key, const std::string& service, base::BytesView payload, base::Time now) {
    const auto found = by_key_.find(key);
    const auto at = found == by_key_.end() ? add(key) : found->second;
    touch(at, now);
    if (!alive(*at)) {
      if (now < at->retry_at) return;
      at->flow = flows_.open(service, Protocol::udp, *this);
      at->accepted = false;
      by_flow_[at->flow.value] = at;
    }
    flows_.flow_datagram(at->flow, payload);
  }

  // Associations whose flow is alive.
  [[nodiscard]] std::size_t size() const { return by_flow_.size(); }

 private:
  // A flow that was refused is not asked for again with each datagram of a stubborn program.
  static constexpr base::Duration refused_pause = std::chrono::seconds(1);

  struct Association {
    Key key{};
    FlowId flow{};  // 0: none now
    bool accepted = false;
    base::Time last{};
    base::Time retry_at{};
  };
  using At = typename std::list<Association>::iterator;

  [[nodiscard]] static bool alive(const Association& one) { return one.flow.value != 0; }

  At add(const Key& key) {
    if (by_key_.size() >= limits_.max_associations) remove(associations_.begin());
    const auto at = associations_.insert(associations_.end(), Association{.key = key});
    by_key_.emplace(key, at);
    return at;
  }

  // The list is in the order of last use. The timer may be early, never late.
  void touch(At at, base::Time now) {
    at->last = now;
    associations_.splice(associations_.end(), associations_, at);
    if (timer_.deadline() == base::never) timer_.set(now + limits_.idle);
  }

  void expire(base::Time now) {
    while (!associations_.empty() && associations_.front().last + limits_.idle <= now) {
      remove(associations_.begin());
    }
    if (!associations_.empty()) timer_.set(associations_.front().last + limits_.idle);
    flows_.pump();
  }

  void leave(const Association& one) {
    if (!alive(one)) return;
    flows_.hand_over(one.flow, nullptr);
    flows_.flow_finish(one.flow);
  }

  void remove(At at) {
    leave(*at);
    by_flow_.erase(at->flow.value);
    by_key_.erase(at->key);
    associations_.erase(at);
  }

  // session::FlowHandler
  void on_flow_accepted(FlowId id) override {
    if (const auto found = by_flow_.find(id.value); found != by_flow_.end()) {
      found->second->accepted = true;
    }
  }
  void on_flow_data(FlowId id, base::BytesView data) override {
    flows_.flow_consume(id, data.size());
  }
  void on_flow_fin(FlowId /*id*/) override {}
  void on_flow_writable(FlowId /*id*/) override {}
  void on_flow_datagram(FlowId id, base::BytesView payload) override {
    const auto found = by_flow_.find(id.value);
    if (found == by_flow_.end()) return;
    touch(found->second, io::Loop::now());
    reply_(found->second->key, payload);
  }
  void on_flow_ended(FlowId id, FlowEnd /*end*/, const std::string& /*text*/) override {
    const auto found = by_flow_.find(id.value);
    if (found == by_flow_.end()) return;
    const At at = found->second;
    by_flow_.erase(found);
    at->flow = {};
    // One that worked is opened anew by the next datagram: the program need not notice.
    at->retry_at = at->accepted ? base::Time{} : io::Loop::now() + refused_pause;
  }

  Flows& flows_;
  Limits limits_;
  Reply reply_;
  io::Timer timer_;
  std::list<Association> associations_;
  std::unordered_map<Key, At, Hash> by_key_;
  std::unordered_map<std::uint64_t, At> by_flow_;
};

}  // namespace ztna::agent
