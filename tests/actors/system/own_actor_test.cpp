// A program that is a CAF actor of the user's own: it speaks the protocols, and nothing else knows.
#include "troupe/actors/own_actors.hpp"

#include <doctest/doctest.h>

#include "troupe/testing.hpp"

using namespace troupe;
using namespace troupe::actors;

namespace {

/// Doubles a number three times, looks at it after each, and says what it was.
class Doubler : public ProgramActor::base {
 public:
  Doubler(caf::actor_config& config, Worker worker, const Callable* kernel, Tensor x,
          std::vector<float>* seen)
      : ProgramActor::base(config),
        worker_(std::move(worker)),
        kernel_(kernel),
        x_(std::move(x)),
        seen_(seen) {}

  behavior_type make_behavior() override {
    OpenRun open;
    open.name = "doubler";
    open.outcome = std::make_shared<RunOutcome>();
    open.driver = this;
    request(worker_, caf::infinite, std::move(open)).then([this](const Result<RunOpened>& opened) {
      run_ = opened.value().run, step();
    });
    return {
        [](const Credit&) {},
        [this](const Wake& wake) {
          if (wake.token != tokens_) return;  // the run's last word comes to its driver, too
          seen_->push_back(x_.host<float>()[0]);
          seen_->size() < 3 ? step() : end();
        },
        [this](const StopProgram&) { end(); },
    };
  }
  void on_exit() override {
    worker_ = nullptr;
    run_ = nullptr;
  }

 private:
  void step() {
    Submission line;
    line.number = ++tasks_;
    line.body = std::make_shared<TaskBody>();
    line.body->callable = kernel_;
    line.body->args.tensors.push_back(runtime::inout(x_.description()));
    Submit submit;
    submit.lines.push_back(std::move(line));
    submit.await = Await{Await::What::task, ++tokens_, tasks_, 0};
    send(run_, std::move(submit));
  }
  void end() {
    send(run_, ProgramEnded{});
    quit();
  }

  Worker worker_;
  Run run_;
  const Callable* kernel_;
  Tensor x_;
  std::vector<float>* seen_;
  TaskNumber tasks_ = 0;
  std::uint64_t tokens_ = 0;
};

}  // namespace

TEST_CASE("an actor of the user's own drives a run by messages alone") {
  testing::Simulation sim({.chips = 1});
  sim.kernel("double", [](auto& call) { call.template tensor<float>(0)[0] *= 2; });
  auto& node = sim.node();
  const auto before = sim.actors();
  auto x = node.tensor<float>({1}, 1.0F);
  const Callable* kernel = nullptr;
  node.run([&kernel](Orchestrator& n) { kernel = &n.callable("double"); });
  std::vector<float> seen;
  actor_system(sim.system()).spawn<Doubler>(worker(node), kernel, x, &seen);
  while (sim.steps(1000) > 0) {
  }
  CHECK(seen == std::vector<float>{2, 4, 8});
  CHECK(sim.actors() == before);
}
