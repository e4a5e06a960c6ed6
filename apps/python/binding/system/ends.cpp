// Ends of runs, for an event loop: a descriptor that is readable when one of those that are listened for has
// ended.
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <stop_token>
#include <system_error>
#include <thread>

#include "system/machine.hpp"

namespace troupe::python {
namespace {

/// Written to by threads that wait for a run each, and for nothing of Python's.
class Ends {
 public:
  Ends() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (descriptor_ < 0) {
      throw Error(actors::Errc::wrong_state,
                  "no descriptor to hear of ends of runs: " + std::generic_category().message(errno));
    }
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  ~Ends() { ::close(descriptor_); }

  int descriptor() const { return descriptor_; }
  void add(std::uint64_t number) {
    const std::lock_guard guard(mutex_);
    ended_.push_back(number);
    const std::uint64_t one = 1;
    (void)!::write(descriptor_, &one, sizeof one);
  }
  std::vector<std::uint64_t> take() {
    const std::lock_guard guard(mutex_);
    std::uint64_t count = 0;
    (void)!::read(descriptor_, &count, sizeof count);
    return std::exchange(ended_, {});
  }
  std::stop_token begin(std::uint64_t number) {
    const std::lock_guard guard(mutex_);
    return waits_[number].get_token();
  }
  /// The thread that waits for it ends; nothing is asked while the mutex is held, which that thread wants.
  void forget(std::uint64_t number) {
    std::unique_lock guard(mutex_);
    const auto wait = waits_.extract(number);
    guard.unlock();
    if (wait) wait.mapped().request_stop();
  }

 private:
  const int descriptor_;
  std::mutex mutex_;
  std::vector<std::uint64_t> ended_;
  std::map<std::uint64_t, std::stop_source> waits_;
};

}  // namespace

void add_ends(py::module_& module) {
  py::class_<Ends, std::shared_ptr<Ends>>(module, "_Ends", "Ends of runs, for an event loop.")
      .def(py::init<>())
      .def("fileno", [](const Ends& ends) { return ends.descriptor(); })
      .def("take", &Ends::take)
      .def("listen",
           [](const std::shared_ptr<Ends>& ends, const RunOf& run, std::uint64_t number) {
             if (run.simulated) {
               throw bad_argument("a run of a simulation goes on where somebody waits for it or makes steps",
                                  "handle.result()");
             }
             try {
               std::thread([of = std::weak_ptr(ends), number, handle = run.handle,
                            stop = ends->begin(number)] {
                 try {
                   if (!handle.wait(stop)) return;
                 } catch (const Error&) {  // whoever asks for its result hears of it
                 }
                 if (const auto still = of.lock()) still->add(number);
               }).detach();
             } catch (const std::system_error& failed) {
               ends->forget(number);
               throw Error(actors::Errc::wrong_state,
                           std::string("no thread to wait for a run: ") + failed.what(),
                           "await fewer handles at once");
             }
           })
      .def("forget", &Ends::forget, py::call_guard<py::gil_scoped_release>());
}

}  // namespace troupe::python
