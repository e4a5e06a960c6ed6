#include "program/program.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::actors {
namespace {

/// Made once: every program ends with them.
const Error& run_is_over() {
  static const auto* error = new Error(Errc::shut_down, "the program's run is over");
  return *error;
}
const Error& has_returned() {
  static const auto* error = new Error(Errc::wrong_program, "the program has returned");
  return *error;
}

/// A plain function's way to its run: a pump on its own thread, which may block.
class PumpPort final : public ProgramPort {
 public:
  PumpPort(Pump& pump, Run run) : pump_(&pump), run_(std::move(run)) {}

  void attach(ProgramCore& core) { core_ = &core; }
  void send(Submit submit, bool computing) override {
    pump_->send(run_, std::move(submit));
    if (computing) pump_->flush();
  }
  void send(ReadDone done) override { pump_->send(run_, done); }
  void send(OpenDomain open) override { pump_->send(run_, std::move(open)); }
  void send(ReleaseDomain release) override { pump_->send(run_, release); }
  void send(EnterBarrier enter) override { pump_->send(run_, enter); }
  void send(ProgramEnded ended) { pump_->send(run_, std::move(ended)); }
  bool may_block() const override { return true; }
  void block() override {
    pump_->await_data();
    auto element = pump_->dequeue();
    auto& content = element->content();
    if (content.match_elements<Wake>()) {
      auto& wake = content.get_mutable_as<Wake>(0);
      if (wake.token == run_over_token) {
        over_ = true;
        core_->stop(run_is_over());
      } else {
        core_->on(wake);
      }
    } else if (content.match_elements<Credit>()) {
      core_->on(content.get_as<Credit>(0));
    } else if (content.match_elements<StopProgram>()) {
      core_->on(content.get_as<StopProgram>(0));
    }
  }
  bool over() const { return over_; }

 private:
  Pump* pump_;
  Run run_;
  ProgramCore* core_ = nullptr;
  bool over_ = false;
};

/// In a deterministic system: runs the program in its first handler, from where the pump steps everything
/// else.
class PlainProgram : public caf::event_based_actor {
 public:
  PlainProgram(caf::actor_config& config, std::function<void()> work)
      : event_based_actor(config), work_(std::move(work)) {}
  const char* name() const override { return "plain program"; }
  caf::behavior make_behavior() override {
    return {[this](const Credit&) {
      work_();
      quit();
    }};
  }

 private:
  std::function<void()> work_;
};

}  // namespace

ProgramActor driver_of(Pump& pump) { return caf::actor_cast<ProgramActor>(pump.ctrl()); }

Error error_from(std::exception_ptr failure, const std::string& program) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& error) {
    return {Errc::function_failed, "program \"" + program + "\": " + runtime::text_of(error)};
  } catch (...) {
    return {Errc::function_failed,
            "program \"" + program + "\" threw something that is not a std::exception"};
  }
}

void run_plain(Pump& pump, std::shared_ptr<NodeShared> node, RunId id, Run run, const BoundProgram& program) {
  auto port = std::make_unique<PumpPort>(pump, std::move(run));
  auto* way = port.get();
  ProgramCore core(std::move(node), id, std::move(port));
  way->attach(core);
  ProgramEnded ended;
  try {
    Orchestrator orchestrator(core);
    program.plain(orchestrator);
    core.flush();
  } catch (...) {
    ended.error = error_from(std::current_exception(), program.name);
    // What was submitted before the throw runs: the program is its submits up to there.
    if (!core.stopped()) core.flush();
  }
  core.stop(has_returned());
  way->send(std::move(ended));
  while (!way->over()) way->block();
}

void wait_for_end(Pump& pump) {
  for (;;) {
    pump.await_data();
    auto element = pump.dequeue();
    if (element->content().match_elements<Wake>() &&
        element->content().get_as<Wake>(0).token == run_over_token)
      return;
  }
}

void start_plain(caf::actor_system& system, std::shared_ptr<NodeShared> node, RunId id, Run run,
                 std::shared_ptr<BoundProgram> program) {
  std::function<void()> work = [node, id, run, program] {
    try {
      auto pump = node->pumps->take();
      // A run that has ended meanwhile would tell nobody so.
      bool open = false;
      pump->request(run, caf::infinite, SetDriver{driver_of(*pump.get())})
          .receive([&](bool) { open = true; }, [](const caf::error&) {});
      if (open) run_plain(*pump.get(), node, id, run, *program);
    } catch (const Error&) {
      // The system is going down. Or, in a deterministic one, nothing is runnable now: the program is over,
      // its run goes on when the test does something.
    }
  };
  if (!node->services->deterministic()) {
    if (node->services->try_blocking("troupe-program", work)) return;
    // It would wait, on this thread, for the actors that run here.
    return caf::anon_send(run, ProgramEnded{no_thread_for("program \"" + program->name + "\"")});
  }
  // A blocked program holds its own actor only: waiting in the worker's handler would hold up the worker.
  auto runner = system.spawn<PlainProgram>(std::move(work));
  caf::anon_send(runner, Credit{});
}

}  // namespace troupe::actors
