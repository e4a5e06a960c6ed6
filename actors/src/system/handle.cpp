// A handle of a run: waiting for it, cancelling it, asking for its report.
#include "program/program.hpp"
#include "system/core.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/longest_wait.hpp"

namespace troupe::actors {

bool Handle::done() const { return ref_ && ref_->outcome->done(); }

namespace {

/// The core of the node; not in a child of fork, to which nobody would announce an end.
NodeCore& node_of(const RunRef& run) {
  const auto& services = *run.node->shared->services;
  if (!services.in_own_process() && !run.outcome->done()) throw services.in_a_child();
  return *run.node;
}

}  // namespace

bool Handle::wait(runtime::Nanoseconds timeout) const { return wait(std::stop_token(), timeout); }

void Handle::wait() const {
  if (!ref_) throw Error(Errc::bad_argument, "an empty handle stands for no run");
  auto& node = node_of(*ref_);
  if (!node.shared->services->deterministic() || node.gone) {
    ref_->outcome->wait(std::nullopt);
    return;
  }
  while (!ref_->outcome->done()) {
    if (!node.shared->pumps->step())
      throw Error(Errc::deadlock, "nothing is runnable, but the run has not ended");
  }
}

bool Handle::wait(const std::stop_token& stop, runtime::Nanoseconds timeout) const {
  if (!ref_) throw Error(Errc::bad_argument, "an empty handle stands for no run");
  auto& node = node_of(*ref_);
  if (!node.shared->services->deterministic() || node.gone) return ref_->outcome->wait(stop, timeout);
  auto& clock = node.shared->pumps->system().clock();
  const auto until = clock.now() + runtime::bounded(timeout);
  while (!ref_->outcome->done() && !stop.stop_requested() && clock.now() < until &&
         node.shared->pumps->step()) {
  }
  return ref_->outcome->done();
}

void Handle::cancel() const {
  if (ref_) ref_->node->cancel(ref_->run);
}

std::string Handle::why(std::uint64_t task) const {
  if (!ref_) throw Error(Errc::bad_argument, "an empty handle stands for no run");
  std::string text = "the run has ended";
  if (done()) return text;
  auto pump = ref_->node->shared->pumps->take();
  if (const auto run = caf::actor_cast<Run>(ref_->run)) {
    pump->request(run, caf::infinite, Why{0, task})
        .receive([&](std::string& answer) { text = std::move(answer); }, [](const caf::error&) {});
  }
  return text;
}

RunReport Handle::report() const {
  wait();
  return *ref_->outcome->get();
}

Result<void> Handle::result() const {
  const auto how = report();
  if (how.error) return *how.error;
  return {};
}

}  // namespace troupe::actors
