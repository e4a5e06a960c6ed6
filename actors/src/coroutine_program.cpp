#include "program_run.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

class CoroutineProgram;

/// A coroutine's way to its run: messages of its actor. Never blocks.
class ActorPort final : public ProgramPort {
 public:
  ActorPort(ProgramActor::pointer self, Run run) : self_(self), run_(std::move(run)) {}
  void send(Submit submit, bool computing) override {
    // A job of this actor waits in its worker's slot until the handler returns; a stranger's goes to the
    // others.
    if (computing) {
      caf::anon_send(run_, std::move(submit));
    } else {
      self_->send(run_, std::move(submit));
    }
  }
  void send(ReadDone done) override { self_->send(run_, done); }
  void send(OpenDomain open) override { self_->send(run_, std::move(open)); }
  void send(ReleaseDomain release) override { self_->send(run_, release); }
  void send(EnterBarrier enter) override { self_->send(run_, enter); }
  void send(ProgramEnded ended) { self_->send(run_, std::move(ended)); }
  bool may_block() const override { return false; }
  void block() override {}

 private:
  ProgramActor::pointer self_;
  Run run_;
};

/// While user code runs, its worker does not count as one that will soon look for work.
class UserCode {
 public:
  explicit UserCode(JobQueue* queue) : queue_(queue) {
    if (queue_ != nullptr) queue_->end_looking();
  }
  UserCode(const UserCode&) = delete;
  UserCode& operator=(const UserCode&) = delete;
  ~UserCode() {
    if (queue_ != nullptr) queue_->begin_looking();
  }

 private:
  JobQueue* queue_;
};

class CoroutineProgram : public ProgramActor::base {
 public:
  CoroutineProgram(caf::actor_config& config, std::shared_ptr<NodeShared> node, RunId id, Run run,
                   std::shared_ptr<BoundProgram> program)
      : ProgramActor::base(config), queue_(shared_queue(system())), program_(std::move(program)) {
    auto port = std::make_unique<ActorPort>(this, std::move(run));
    port_ = port.get();
    core_ = std::make_unique<ProgramCore>(std::move(node), id, std::move(port));
    orchestrator_ = std::make_unique<Orchestrator>(*core_);
  }

  const char* name() const override { return "program"; }

  behavior_type make_behavior() override {
    set_exception_handler([this](std::exception_ptr& failure) -> caf::error {
      return exit_with(error_from(failure, program_->name));
    });
    return {
        [this](const Credit& credit) { credit.ended == 0 ? start() : core_->on(credit); },
        [this](Wake& wake) {
          if (!frame_) return;
          core_->on(wake);
          if (auto next = core_->take_resumable()) {
            const UserCode here(queue_);
            next.resume();
            after_resume();
          }
        },
        [this](const StopProgram& stop) {
          core_->stop(stop.reason);
          end(stop.reason);
        },
    };
  }

  void on_exit() override {
    // The frame goes first: what it holds speaks to the core.
    core_->stop(Error(Errc::shut_down, "the program was ended"));
    frame_ = {};
    orchestrator_.reset();
    core_.reset();
    program_.reset();
  }

 private:
  void start() {
    const UserCode here(queue_);
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

  JobQueue* queue_;  ///< null in a deterministic system
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
