#include "chip_actor.hpp"

#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// The news of a device, as messages to its chip actor. Called from the device's threads.
platform::ContextEvents events_for(caf::weak_actor_ptr chip, std::shared_ptr<Services> services,
                                   std::string path, const std::shared_ptr<ChipTracer>& tracer) {
  platform::ContextEvents events;
  if (tracer) {
    events.trace = [tracer](std::span<const troupe_trace_event> news) { tracer->events(news); };
    events.dump = [tracer](const troupe_dump_record& record) { tracer->dump(record); };
  }
  events.complete = [chip](std::span<const troupe_completion> completions) {
    auto strong = caf::actor_cast<Chip>(chip);
    if (!strong) return;
    DeviceDone done;
    done.ends.reserve(completions.size());
    for (const auto& end : completions) {
      done.ends.push_back({end.correlation, end.code, end.message != nullptr ? end.message : "",
                           end.caused_by, end.started_ns, end.finished_ns});
    }
    caf::anon_send(strong, std::move(done));
  };
  events.log = [services = std::move(services), path = std::move(path)](std::int32_t level, std::int32_t,
                                                                        std::string_view text) {
    services->log(level, path, text);
  };
  return events;
}

class ChipActor : public Chip::base {
 public:
  ChipActor(caf::actor_config& config, std::shared_ptr<Services> services, ChipConfig chip,
            ChipIdentity identity, std::string path, ResultSink results)
      : Chip::base(config),
        services_(std::move(services)),
        path_(std::move(path)),
        results_(std::move(results)),
        state_(std::move(chip), std::move(identity), services_->host(),
               services_->recorder() ? std::make_shared<ChipTracer>(services_->recorder(), path_) : nullptr) {
  }

  const char* name() const override { return "chip"; }

  behavior_type make_behavior() override {
    set_exception_handler([this](std::exception_ptr&) -> caf::error {
      return exit_with(Error(Errc::chip_lost, path_ + ": an exception in the chip actor"));
    });
    return {
        [this](Execute& execute) { answer(state_.execute(execute.requests)); },
        [this](const Cancel& cancel) { answer(state_.cancel(cancel)); },
        [this](const Describe&) { return state_.describe(); },
        [this](const GetStatus&) { return state_.status(); },
        [this](const Why& why) { return state_.why(why); },
        [this](const DeviceDone& ends) { answer(state_.ended(ends)); },
        [this](const DeviceCallDone& call) { finalized(call); },
        [this](const BringUp&) {
          return state_.bring_up(
              events_for(caf::actor_cast<caf::weak_actor_ptr>(address()), services_, path_, state_.tracer()));
        },
        [this](const ResetChip&) { return state_.reset(); },
        [this](const FinalizeChip&) { return finalize(); },
        [this](const DeviceMalloc& request) { return state_.malloc(request.bytes); },
        [this](const DeviceFree& request) { return state_.free(request.address); },
        [this](DeviceCopy& piece) { return copy(piece); },
        [this](const WindowCreate& request) { return state_.create_window(request); },
        [this](const WindowImport& request) { return state_.import_window(request); },
        [this](const WindowAbort& request) { state_.abort_window(request); },
        [this](const WindowRelease& request) {
          if (auto released = state_.release_window(request); !released) {
            services_->warn(path_, "a window stays until the chip ends: " + released.error().message());
          }
        },
    };
  }

  /// However the actor ends: its requests are answered, its context is closed elsewhere, exactly once.
  void on_exit() override {
    answer_only(state_.abandon(Error(Errc::chip_lost, path_ + ": the chip ended while it held the task")));
    if (auto context = state_.take_context()) services_->close(*std::move(context), path_, {});
    results_ = nullptr;
  }

 private:
  void answer(std::vector<TaskResult> results) {
    answer_only(std::move(results));
    if (state_.device_lost()) quit(exit_with(Error(Errc::chip_lost, path_ + ": the device is lost")));
  }
  void answer_only(std::vector<TaskResult> results) {
    if (results.empty() || !results_) return;
    send(results_, Results{state_.identity().index, state_.identity().incarnation, std::move(results)});
  }

  caf::typed_response_promise<Result<bool>> finalize() {
    auto promise = make_response_promise<Result<bool>>();
    answer_only(state_.abandon(Error(Errc::chip_lost, path_ + ": the chip was finalized")));
    auto context = state_.take_context();
    if (!context) {
      promise.deliver(Result<bool>(true));
      quit();
      return promise;
    }
    finalizing_ = promise;
    services_->close(*std::move(context), path_, [self = Chip(this)](const Result<void>& closed) {
      DeviceCallDone call;
      if (!closed) call.error = closed.error();
      caf::anon_send(self, std::move(call));
    });
    return promise;
  }
  void finalized(const DeviceCallDone& call) {
    finalizing_.deliver(call.error ? Result<bool>(*call.error) : Result<bool>(true));
    quit();
  }

  caf::typed_response_promise<Result<bool>> copy(DeviceCopy& piece) {
    auto promise = make_response_promise<Result<bool>>();
    auto copied = state_.copy(piece);
    if (!copied || *copied) {
      promise.deliver(std::move(copied));
      return promise;
    }
    // The rest queues behind the messages that arrived meanwhile.
    request(Chip(this), caf::infinite, std::move(piece))
        .then(
            [promise](Result<bool>& rest) mutable { promise.deliver(std::move(rest)); },
            [promise, this](const caf::error&) mutable {
              promise.deliver(Result<bool>(Error(Errc::chip_lost, path_ + ": the chip ended during a copy")));
            });
    return promise;
  }

  std::shared_ptr<Services> services_;
  std::string path_;
  ResultSink results_;
  ChipState state_;
  caf::typed_response_promise<Result<bool>> finalizing_;
};

}  // namespace

Chip spawn_chip(caf::local_actor* parent, std::shared_ptr<Services> services, ChipConfig config,
                ChipIdentity identity, std::string path, ResultSink results) {
  return parent->spawn<ChipActor>(std::move(services), std::move(config), std::move(identity),
                                  std::move(path), std::move(results));
}

}  // namespace troupe::actors
