#include <vector>

#include "program/program.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

class CoroutineProgram;

/// A coroutine's way to its run: messages of its actor. Never blocks.
///
/// A job that this actor makes runnable waits in its thread's slot until the handler returns. That is right
/// when the program is about to wait, which ends its handler. A program that goes on computing sends to the
/// queue that all threads share, so that another thread can begin at once.
class ActorPort final : public ProgramPort {
 public:
  ActorPort(ProgramActor::pointer self, Run run) : self_(self), run_(std::move(run)) {}
  void send(Submit submit, bool computing) override { send_any(std::move(submit), computing); }
  void send(ReadDone done) override { reads_done_.push_back(done); }
  void send(OpenDomain open) override { send_any(std::move(open), false); }
  void send(ReleaseDomain release) override { send_any(release, true); }
  void send(EnterBarrier enter) override { send_any(std::move(enter), false); }
  void send(ProgramEnded ended) { send_any(std::move(ended), false); }
  void send_reads(bool computing) {
    for (const auto& done : reads_done_) send_one(done, computing);
    reads_done_.clear();
  }
  bool may_block() const override { return false; }
  void block() override {}

 private:
  template <class Message>
  void send_one(Message message, bool computing) {
    if (computing) {
      caf::anon_send(run_, std::move(message));
    } else {
      self_->send(run_, std::move(message));
    }
  }
  template <class Message>
  void send_any(Message message, bool computing) {
    send_reads(computing);
    send_one(std::move(message), computing);
  }

  ProgramActor::pointer self_;
  Run run_;
  std::vector<ReadDone> reads_done_;  ///< not sent yet: those who write there later are behind them anyway
};

/// While user code runs, its program is here, and nobody counts on its thread.
class UserCode {
 public:
  UserCode(WorkUnit* where, ProgramCore& core) : where_(where), core_(&core) {
    core_->enter();
    if (where_ != nullptr) where_->begin_user_code();
  }
  UserCode(const UserCode&) = delete;
  UserCode& operator=(const UserCode&) = delete;
  ~UserCode() {
    if (where_ != nullptr) where_->end_user_code();
    core_->leave();
  }

 private:
  MayNotWait here_{MayNotWait::Code::coroutine};
  WorkUnit* where_;
  ProgramCore* core_;
};

class CoroutineProgram : public ProgramActor::base {
 public:
  CoroutineProgram(caf::actor_config& config, std::shared_ptr<NodeShared> node, RunId id, Run run,
                   std::shared_ptr<BoundProgram> program)
      : ProgramActor::base(config), run_(id), program_(std::move(program)) {
    auto port = std::make_unique<ActorPort>(this, std::move(run));
    port_ = port.get();
    core_ = std::make_unique<ProgramCore>(std::move(node), id, std::move(port));
    core_->leave();
    orchestrator_ = std::make_unique<Orchestrator>(*core_);
  }

  const char* name() const override { return "program"; }

  resume_result resume(caf::execution_unit* where, std::size_t most) override {
    where_ = dynamic_cast<WorkUnit*>(where);
    if (where_ != nullptr && !where_->takes_program_of(run_)) return resume_later;
    return ProgramActor::base::resume(where, most);
  }

  behavior_type make_behavior() override {
    set_exception_handler([this](std::exception_ptr& failure) -> caf::error {
      return exit_with(error_from(failure, program_->name));
    });
    const auto take_wake = [this](Wake& wake) {
      if (!frame_) return;
      core_->on(wake);
      if (auto next = core_->take_resumable()) {
        const UserCode here(where_, *core_);
        next.resume();
        after_resume();
      }
    };
    behavior_type all{
        take_wake,
        [this](const Credit& credit) { credit.ended == 0 ? start() : core_->on(credit); },
        [this](const StopProgram& stop) {
          core_->stop(stop.reason);
          const UserCode here(where_, *core_);  // what the frame holds ends
          end(stop.reason);
        },
    };
    return hot_first(this, std::move(all), take_wake);
  }

  void on_exit() override {
    // The frame goes first: what it holds speaks to the core.
    core_->stop(Error(Errc::shut_down, "the program was ended"));
    if (frame_) {
      const UserCode here(where_, *core_);
      frame_ = {};
    }
    port_->send_reads(true);
    orchestrator_.reset();
    core_.reset();
    program_.reset();
  }

 private:
  void start() {
    const UserCode here(where_, *core_);
    try {
      frame_ = program_->coroutine(*orchestrator_);
      frame_.resume();
    } catch (...) {
      return end(error_from(std::current_exception(), program_->name));
    }
    after_resume();
  }
  void after_resume() {
    if (frame_.done()) {
      auto failure = frame_.failure();
      return end(failure ? std::optional<Error>(error_from(failure, program_->name)) : std::nullopt);
    }
    core_->flush();
    if (core_->waiting() == 0) {
      end(Error(Errc::bad_argument,
                "program \"" + program_->name + "\" awaits something that is not its node's",
                "a program can co_await tasks, reads, drains, domains and programs"));
    }
  }
  void end(std::optional<Error> error) {
    if (ended_) return;
    ended_ = true;
    if (!core_->stopped()) core_->flush();
    core_->stop(Error(Errc::wrong_program, "the program has returned"));
    frame_ = {};
    port_->send(ProgramEnded{std::move(error)});
    quit();
  }

  const RunId run_;
  WorkUnit* where_ = nullptr;  ///< the thread it is on; null in a deterministic system
  std::shared_ptr<BoundProgram> program_;
  ActorPort* port_ = nullptr;
  std::unique_ptr<ProgramCore> core_;
  std::unique_ptr<Orchestrator> orchestrator_;
  Program frame_;
  bool ended_ = false;
};

}  // namespace

ProgramActor spawn_coroutine(caf::local_actor* parent, std::shared_ptr<NodeShared> node, RunId id, Run run,
                             std::shared_ptr<BoundProgram> program) {
  return parent->spawn<CoroutineProgram>(std::move(node), id, std::move(run), std::move(program));
}

}  // namespace troupe::actors
