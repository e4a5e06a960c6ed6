#pragma once

// For answers_on_every_way_out_test.cpp: systems in which every kind of request is under way, and a hand that
// kills.
#include <caf/scheduler/test_coordinator.hpp>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "support/shared_name.hpp"
#include "troupe/actors/own_actors.hpp"
#include "troupe/comm/host_segment.hpp"
#include "troupe/testing.hpp"

namespace troupe::test {

class Asker;
struct Order {
  std::function<void(Asker&)> what;
};

}  // namespace troupe::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::test::Order)

namespace troupe::test {

using namespace troupe::actors;

/// Asks, and knows what it has not been answered.
class Asker : public caf::event_based_actor {
 public:
  Asker(caf::actor_config& config, std::multiset<std::string>* open)
      : event_based_actor(config), open_(open) {}
  const char* name() const override { return "asker"; }
  caf::behavior make_behavior() override {
    return {[this](const Order& order) { order.what(*this); }};
  }

  template <class Answer, class Actor, class Question>
  void ask(const Actor& whom, Question question, std::function<void(Answer&)> then = {}) {
    // A name that tells the kinds apart is enough.
    const std::string name = typeid(Question).name();
    open_->insert(name);
    request(whom, caf::infinite, std::move(question))
        .then(
            [this, name, then = std::move(then)](Answer& answer) {
              open_->erase(open_->find(name));
              if (then) then(answer);
            },
            [this, name](const caf::error&) { open_->erase(open_->find(name)); });
  }

 private:
  std::multiset<std::string>* open_;
};

/// A chip of the script, one that a node may be given later.
inline ChipConfig chip_of(const platform::ScriptedChip& script, int device) {
  ChipConfig chip;
  chip.device_id = device;
  chip.device = [script](std::uint32_t) { return Result<platform::DeviceApi>(script.api()); };
  return chip;
}

inline DomainSpec domain_of_two() {
  DomainSpec spec;
  spec.chips = chips(0, 1);
  spec.buffers = {{"scratch", 4096}};
  return spec;
}

/// A node with a part of everything that actors do; or one whose chips come up from configuration, with a
/// communicator and staged buffers; or a pod of nodes.
class Scene {
 public:
  enum class Kind { plain, configured, pod };

  explicit Scene(Kind kind, std::uint64_t seed) : kind_(kind), sim_({.seed = seed}) {
    sim_.script().on("wait", [](auto& call) { call.waits(); });
    auto config = config_of("node0");
    if (kind_ == Kind::configured) {
      for (int rank = 0; rank < 2; ++rank) config.chip_bootstrap_configs.push_back(member(rank));
    }
    node_ = std::make_unique<Node>(kind_ == Kind::pod ? sim_.system().pod({.nodes = {config}})
                                                      : sim_.system().node(config));
    worker_ = worker(*node_);
    node_->add_kernel("wait");
    node_->add_function("nothing", [](HostArgs&) {});
    x_ = node_->tensor<float>({4});
    asker_ = actor_system(sim_.system()).spawn<Asker>(&open_);
  }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  ~Scene() {
    worker_ = nullptr;
    caf::anon_send_exit(asker_, caf::exit_reason::user_shutdown);
    asker_ = nullptr;
  }

  /// Programs that wait for tasks, domains, peers at a barrier.
  void programs() {
    if (kind_ == Kind::pod) return;
    handles_.push_back(node_->submit(
        [](Orchestrator& n, Tensor a) -> Program {
          auto domain = co_await n.allocate_domain(domain_of_two());
          n.submit("wait", in(a), on_chip(0));
          co_await n.barrier(domain, 0);
        },
        x_));
    handles_.push_back(node_->submit(
        [](Orchestrator& n, Tensor a) -> Program {
          for (int i = 0; i < 4; ++i) n.submit_sub("nothing", inout(a));
          co_await n.submit("wait", inout(a), on_chip(1));
        },
        x_));
  }

  void all_requests(bool stop) {
    order([this](Asker& asker) {
      any_worker(asker);
      if (kind_ == Kind::pod) {
        asker.ask<Result<std::int32_t>>(worker_, AddExecutor{to_worker(config_of("node1"))});
        asker.ask<Result<bool>>(worker_, RemoveExecutor{0});
      } else {
        of_chips(asker);
      }
    });
    if (stop) this->stop();
  }
  void stop() {
    order([this](Asker& asker) { asker.ask<bool>(worker_, StopWorker{}); });
  }
  void order(std::function<void(Asker&)> what) { caf::anon_send(asker_, Order{std::move(what)}); }

  /// So many steps; false: there was nothing left to do before.
  bool steps(std::size_t most) {
    for (std::size_t i = 0; i < most; ++i) {
      look_around();
      if (sim_.steps(1) == 0) return false;
    }
    look_around();
    return true;
  }
  void settle() {
    while (steps(1)) {
    }
  }
  /// The n-th actor of this name, if there is one.
  void kill(const std::string& name, std::size_t n) {
    for (const auto& [id, actor] : seen_) {
      auto strong = actor.first == name ? caf::actor_cast<caf::strong_actor_ptr>(actor.second) : nullptr;
      if (!strong || n-- > 0) continue;
      caf::anon_send_exit(strong, caf::exit_reason::kill);
      return;
    }
  }
  void end() {
    settle();
    for (const auto& handle : handles_) handle.cancel();
    settle();
    stop();
    settle();
    sim_.advance(std::chrono::seconds(10));
    settle();
  }
  /// Who has not been answered; empty: nobody waits.
  std::string still_waits() const {
    std::string text;
    for (const auto& name : open_) text += name + " ";
    for (const auto& handle : handles_) text += handle.done() ? "" : "a submitted program ";
    for (const auto& outcome : outcomes_) text += outcome->done() ? "" : "a run of its own driver ";
    return text;
  }
  std::size_t actors() const { return sim_.actors(); }
  Node& node() { return *node_; }

 private:
  void any_worker(Asker& asker) {
    asker.ask<ExecutorStatus>(worker_, GetStatus{});
    asker.ask<std::string>(worker_, Why{1, 1});
    for (int i = 0; i < 3; ++i) {
      OpenRun open;
      auto outcome = open.outcome = std::make_shared<RunOutcome>();
      // Nobody drives it: it lasts until its worker ends.
      asker.ask<Result<RunOpened>>(worker_, std::move(open), [this, outcome](Result<RunOpened>& opened) {
        if (opened) outcomes_.push_back(outcome);
      });
    }
  }
  void of_chips(Asker& asker) {
    asker.ask<Result<bool>>(worker_, StoreBuffers{});
    asker.ask<Result<std::int32_t>>(worker_, AddExecutor{chip_of(sim_.script(), 2)});
    asker.ask<Result<std::int32_t>>(worker_, AddExecutor{SubWorkerConfig{}});
    asker.ask<Result<DomainInfo>>(worker_, AllocateDomain{1, domain_of_two()});
    asker.ask<Result<ChipAccess>>(worker_, ChipOf{0}, [&asker](Result<ChipAccess>& found) {
      if (!found) return;
      const auto chip = found->chip;
      const auto life = found->incarnation;
      WindowCreate window;
      window.spec.bytes = 1U << 20U;
      window.spec.rank_count = 1;
      window.incarnation = life;
      asker.ask<Result<WindowOffer>>(chip, window);
      asker.ask<Result<std::uint64_t>>(chip, DeviceMalloc{1U << 20U, life},
                                       [&asker, chip, life](Result<std::uint64_t>& made) {
                                         if (!made) return;
                                         static std::vector<std::byte> host(1U << 20U);
                                         const DeviceCopy copy{true, *made, host.data(), host.size(), life};
                                         asker.ask<Result<bool>>(chip, copy);
                                         asker.ask<Result<bool>>(chip, DeviceFree{*made, life});
                                       });
      asker.ask<Result<ExecutorInfo>>(chip, BringUp{});
    });
    asker.ask<Result<bool>>(worker_, ResetExecutor{0});
    asker.ask<Result<bool>>(worker_, ResetExecutor{0});
    asker.ask<Result<bool>>(worker_, RemoveExecutor{1});
  }
  NodeConfig config_of(const std::string& name) {
    NodeConfig config;
    config.name = name;
    config.chips = 2;
    config.sub_workers = 1;
    config.max_runs = 3;
    config.device = [script = sim_.script()](int, std::uint32_t) {
      return Result<platform::DeviceApi>(script.api());
    };
    return config;
  }
  comm::ChipBootstrapConfig member(int rank) {
    comm::ChipBootstrapConfig config;
    config.comm = comm::ChipCommBootstrapConfig{rank, 2, "here", 4096};
    config.buffers = {{.name = "input", .count = 16, .nbytes = 64, .load_from_host = true},
                      {.name = "result", .count = 16, .nbytes = 64, .store_to_host = true}};
    const auto from = shared_name("in"), to = shared_name("out");
    staging_.push_back(comm::HostSegment::create(from, 64).value());
    staging_.push_back(comm::HostSegment::create(to, 64).value());
    config.host_inputs = {{"input", from, 64}};
    config.host_outputs = {{"result", to, 64}};
    return config;
  }
  /// Whoever has something to do has a job with the scheduler.
  void look_around() {
    auto& scheduler =
        dynamic_cast<caf::scheduler::test_coordinator&>(actor_system(sim_.system()).scheduler());
    for (auto* job : scheduler.jobs) {
      auto* actor = dynamic_cast<caf::local_actor*>(job);
      if (actor == nullptr) continue;
      seen_[actor->id()] = {actor->name(), caf::actor_cast<caf::weak_actor_ptr>(actor->address())};
    }
  }

  Kind kind_;
  std::vector<comm::HostSegment> staging_;
  testing::Simulation sim_;
  std::unique_ptr<Node> node_;
  Worker worker_;
  Tensor x_;
  std::multiset<std::string> open_;
  caf::actor asker_;
  std::vector<Handle> handles_;
  std::vector<std::shared_ptr<RunOutcome>> outcomes_;
  std::map<caf::actor_id, std::pair<std::string, caf::weak_actor_ptr>> seen_;
};

}  // namespace troupe::test
