// A run ended when its program said so. A program that was an actor of the user's own and died without a word
// (an exception, an exit) left its run for ever, and with it one of the node's places for runs: after
// `max_runs` of them the node took no program any more. Now a run watches its program and ends with it.
#include <doctest/doctest.h>

#include "support/error_of.hpp"
#include "troupe/actors/own_actors.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using testing::Simulation;

namespace {

enum class Dies { before_it_begins, after_a_task, while_it_waits, while_it_reads };

/// Opens a run, gets as far as `when`, and dies.
class Mortal : public actors::ProgramActor::base {
 public:
  Mortal(caf::actor_config& config, actors::Worker worker, const actors::Callable* kernel, Tensor x,
         Dies when, std::shared_ptr<actors::RunOutcome> outcome)
      : actors::ProgramActor::base(config),
        worker_(std::move(worker)),
        kernel_(kernel),
        x_(std::move(x)),
        when_(when),
        outcome_(std::move(outcome)) {}

  behavior_type make_behavior() override {
    set_exception_handler([](std::exception_ptr&) -> caf::error { return caf::exit_reason::kill; });
    actors::OpenRun open;
    open.name = "mortal";
    open.outcome = outcome_;
    open.driver = this;
    request(worker_, caf::infinite, std::move(open)).then([this](const Result<actors::RunOpened>& opened) {
      go_on(opened.value().run);
    });
    if (when_ == Dies::before_it_begins) quit(caf::exit_reason::kill);
    return {
        [](const actors::Credit&) {},
        [](const actors::Wake&) { throw std::runtime_error("a bug"); },
        [](const actors::StopProgram&) {},
    };
  }
  void on_exit() override { worker_ = nullptr; }

 private:
  void go_on(const actors::Run& run) {
    actors::Submit submit;
    actors::Submission line;
    line.number = 1;
    line.body = std::make_shared<actors::TaskBody>();
    line.body->callable = kernel_;
    line.body->args.tensors.push_back(runtime::inout(x_.description()));
    submit.lines.push_back(std::move(line));
    if (when_ == Dies::while_it_reads) {
      actors::Submission read;
      read.kind = actors::Submission::Kind::read;
      read.number = 2;
      read.body = std::make_shared<actors::TaskBody>();
      read.body->args.tensors.push_back(runtime::in(x_.description()));
      submit.lines.push_back(std::move(read));
      submit.await = actors::Await{actors::Await::What::data, 1, 2, 0};
    } else if (when_ == Dies::while_it_waits) {
      submit.await = actors::Await{actors::Await::What::task, 1, 1, 0};
    }
    send(run, std::move(submit));
    if (when_ == Dies::after_a_task) quit(caf::exit_reason::kill);
  }

  actors::Worker worker_;
  const actors::Callable* kernel_;
  Tensor x_;
  Dies when_;
  std::shared_ptr<actors::RunOutcome> outcome_;
};

}  // namespace

TEST_CASE("a run ends with its program, however the program's actor ends, and its place is free again") {
  for (const auto when :
       {Dies::before_it_begins, Dies::after_a_task, Dies::while_it_waits, Dies::while_it_reads}) {
    for (std::uint64_t seed = 0; seed <= 20; ++seed) {
      CAPTURE(static_cast<int>(when));
      CAPTURE(seed);
      Simulation sim({.seed = seed, .chips = 1});
      sim.kernel("step", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
      auto& node = sim.node();
      auto x = node.tensor<float>({1});
      const actors::Callable* kernel = nullptr;
      node.run([&kernel](Orchestrator& n) { kernel = &n.callable("step"); });
      while (sim.steps(1000) > 0) {
      }
      const auto before = sim.actors();
      auto outcome = std::make_shared<actors::RunOutcome>();
      actors::actor_system(sim.system()).spawn<Mortal>(actors::worker(node), kernel, x, when, outcome);
      while (sim.steps(1000) > 0) {
      }
      REQUIRE(outcome->done());
      const auto error = outcome->get()->error;
      REQUIRE(error);
      CHECK(*error == actors::Errc::function_failed);
      CHECK_MESSAGE(error->message().find("program \"mortal\"") != std::string::npos, error->message());
      CHECK(node.status().runs == 0);
      while (sim.steps(1000) > 0) {
      }
      CHECK(sim.actors() == before);
      node.run([](Orchestrator& n, Tensor a) { n.submit("step", inout(a)); }, x);
    }
  }
}
