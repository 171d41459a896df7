// Stands in for the engine: services that echo, or that end each flow in a given way.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/shell_flows.hpp"
#include "io/loop.hpp"

namespace ztna::agent {

class FakeFlows final : public Flows {
 public:
  explicit FakeFlows(io::Loop& loop) : loop_(loop) {}

  // Services that are not named here echo.
  std::map<std::string, FlowEnd> failing;
  std::vector<std::string> opened;  // "tcp web"
  std::size_t finished = 0;
  std::size_t swallow = 0;  // every so manieth datagram is lost; 0: none

  [[nodiscard]] FlowId open(const std::string& service, Protocol protocol,
                            session::FlowHandler& user) override {
    const FlowId id{++last_};
    users_[id.value] = &user;
    opened.push_back(std::string(session::to_string(protocol)) + " " + service);
    later(id, [this, id, service](session::FlowHandler& handler) {
      const auto failure = failing.find(service);
      if (failure != failing.end()) return end(id, failure->second);
      handler.on_flow_accepted(id);
      if (auto* const now = user_of(id)) now->on_flow_writable(id);
    });
    return id;
  }
  void hand_over(FlowId id, session::FlowHandler* user) override {
    if (user == nullptr) {
      users_.erase(id.value);
    } else {
      users_[id.value] = user;
    }
  }

  // What a service does by itself.
  void end(FlowId id, FlowEnd why) {
    auto* const user = user_of(id);
    if (user == nullptr) return;
    users_.erase(id.value);
    user->on_flow_ended(id, why, "");
  }
  void end_all(FlowEnd why) {
    for (const auto& [id, user] : std::unordered_map(users_)) end(FlowId{id}, why);
  }

  [[nodiscard]] std::size_t flow_writable(FlowId id) override {
    return user_of(id) == nullptr ? 0 : 65536;
  }
  [[nodiscard]] std::size_t flow_write(FlowId id, base::BytesView data) override {
    later(id, [id, copy = base::Bytes(data.begin(), data.end())](session::FlowHandler& user) {
      user.on_flow_data(id, copy);
    });
    return data.size();
  }
  void flow_finish(FlowId id) override {
    ++finished;
    later(id, [this, id](session::FlowHandler& user) {
      user.on_flow_fin(id);
      end(id, FlowEnd::finished);
    });
  }
  void flow_reset(FlowId id) override { end(id, FlowEnd::reset); }
  void flow_consume(FlowId /*id*/, std::size_t /*size*/) override {}
  void flow_datagram(FlowId id, base::BytesView payload) override {
    if (swallow != 0 && ++datagrams_ % swallow == 0) return;
    later(id, [id, copy = base::Bytes(payload.begin(), payload.end())](session::FlowHandler& user) {
      user.on_flow_datagram(id, copy);
    });
  }
  void pump() override {}

 private:
  [[nodiscard]] session::FlowHandler* user_of(FlowId id) const {
    const auto found = users_.find(id.value);
    return found == users_.end() ? nullptr : found->second;
  }
  void later(FlowId id, std::function<void(session::FlowHandler&)> what) {
    loop_.post([this, id, what = std::move(what)] {
      if (auto* const user = user_of(id)) what(*user);
      write_gathered();
    });
  }

  io::Loop& loop_;
  std::uint64_t last_ = 0;
  std::size_t datagrams_ = 0;
  std::unordered_map<std::uint64_t, session::FlowHandler*> users_;
};

}  // namespace ztna::agent
