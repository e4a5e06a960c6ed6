#include "threads/pump.hpp"

#include <caf/scheduler/test_coordinator.hpp>

#include "threads/cannot_go_on.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// A caller looks for work this often before it parks: 5 to 40 µs, as long as this processor pauses.
constexpr int look_rounds = 100;
/// After so many jobs in one wait, it waits long.
constexpr int many_jobs = 64;

}  // namespace

void InlineUnit::run(caf::resumable* job) {
  switch (resumed(*job, *this, 64)) {
    case caf::resumable::resume_later:
      if (std::exchange(declined_, false)) {
        queue_->push_for_workers(job);
      } else {
        jobs_.push_back(job);
      }
      break;
    case caf::resumable::done:
    case caf::resumable::awaiting_message:
      intrusive_ptr_release(job);
      break;
    case caf::resumable::shutdown_execution_unit:
      break;
  }
}

bool InlineUnit::run_one() {
  if (jobs_.empty()) return false;
  auto* job = jobs_.front();
  jobs_.pop_front();
  run(job);
  return true;
}

template <class Wanted>
void InlineUnit::work_while(Wanted wanted, const std::function<void()>* busy) {
  looking_ = true;
  queue_->begin_looking(JobQueue::Who::caller);
  int jobs = 0;
  for (int idle = 0; idle < look_rounds && wanted();) {
    if (run_one()) {
      idle = 0;
    } else if (auto* job = queue_->try_pop()) {
      run(job);
      idle = 0;
    } else {
      ++idle;
      pause_briefly();
      continue;
    }
    if (++jobs == many_jobs && busy != nullptr) {
      begin_user_code();
      (*busy)();
      end_user_code();
    }
  }
  queue_->end_looking(JobQueue::Who::caller);
  looking_ = false;
}

void InlineUnit::flush() {
  while (!jobs_.empty()) {
    system().scheduler().enqueue(jobs_.front());
    jobs_.pop_front();
  }
}

void InlineUnit::begin_user_code() {
  if (looking_) queue_->end_looking(JobQueue::Who::caller);
  flush();
}

void InlineUnit::end_user_code() {
  if (looking_) queue_->begin_looking(JobQueue::Who::caller);
}

bool InlineUnit::takes_program_of(std::uint64_t run) {
  declined_ = run != own_run_;
  return !declined_;
}

Pump::Pump(caf::actor_config& config, const PumpPool* pool)
    : blocking_actor(config), unit_(config.host->system()), queue_(shared_queue(system())), pool_(pool) {
  context(&unit_);
}

void Pump::launch(caf::execution_unit*, bool, bool hide) {
  if (!hide) register_at_system();
  initialize();
  context(&unit_);
}

bool Pump::work_until_message() {
  if (!mailbox().empty()) return true;
  unit_.work_while([this] { return mailbox().empty(); }, before_waiting_ ? &before_waiting_ : nullptr);
  return !mailbox().empty();
}

void Pump::finish() {
  // A little is done here, where its data is warm, rather than by a worker that would have to be woken for
  // it.
  for (int i = 0; queue_ != nullptr && i < 16 && unit_.run_one(); ++i) {
  }
  unit_.flush();
  unit_.set_own_run(0);
  before_waiting_ = nullptr;
}

void Pump::step_until_message() {
  unit_.flush();
  if (before_waiting_ && mailbox().empty()) before_waiting_();
  while (mailbox().empty()) {
    if (!pool_->step()) {
      throw Error(Errc::deadlock,
                  "nothing is runnable and no timer is set, but a caller waits for an answer");
    }
  }
}

void Pump::await_data() {
  if (queue_ == nullptr) return step_until_message();
  if (work_until_message()) return;
  unit_.flush();
  if (before_waiting_) before_waiting_();
  blocking_actor::await_data();
}

bool Pump::await_data(timeout_type deadline) {
  if (queue_ == nullptr) {
    unit_.flush();
    while (mailbox().empty() && pool_->step()) {
    }
    return !mailbox().empty();
  }
  if (work_until_message()) return true;
  unit_.flush();
  return blocking_actor::await_data(deadline);
}

void PumpPool::close() {
  std::vector<caf::strong_actor_ptr> pumps;
  {
    std::lock_guard guard(mutex_);
    pumps.swap(free_);
  }
  for (auto& handle : pumps) {
    caf::scoped_execution_unit unit{system_};
    auto* pump = static_cast<Pump*>(caf::actor_cast<caf::abstract_actor*>(handle));
    pump->cleanup(caf::exit_reason::normal, &unit);
  }
}

PumpPool::Lease PumpPool::take() {
  if (!services_->in_own_process()) throw services_->in_a_child();
  auto stay = services_->enter();
  if (!stay) throw Error(Errc::shut_down, "the system is going down or gone");
  {
    std::lock_guard guard(mutex_);
    if (!free_.empty()) {
      auto handle = std::move(free_.back());
      free_.pop_back();
      return {*this, std::move(stay), std::move(handle)};
    }
  }
  caf::scoped_execution_unit unit{system_};
  caf::actor_config config{&unit};
  config.flags |= caf::abstract_actor::is_hidden_flag;
  auto handle = system_->spawn_impl<Pump, caf::hidden>(config, this);
  return {*this, std::move(stay), caf::actor_cast<caf::strong_actor_ptr>(handle)};
}

void PumpPool::give_back(caf::strong_actor_ptr pump) {
  std::lock_guard guard(mutex_);
  free_.push_back(std::move(pump));
}

PumpPool::Lease::~Lease() {
  if (!pump_) return;
  // Whoever is thrown out of a call has not heard all that will come.
  if (std::uncaught_exceptions() > exceptions_) {
    discard();
    return;
  }
  get()->finish();
  pool_->give_back(std::move(pump_));
  // The thread may live on.
  without_logger();
}

void PumpPool::Lease::discard() {
  if (!pump_) return;
  get()->finish();
  caf::scoped_execution_unit unit{pool_->system_};
  get()->cleanup(caf::exit_reason::normal, &unit);
  pump_ = nullptr;
  without_logger();
}

bool PumpPool::step() const {
  if (stepper_) return stepper_();
  auto& scheduler = dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler());
  return scheduler.try_run_once() || scheduler.trigger_timeout();
}

}  // namespace troupe::actors
