// Ends of runs, for an event loop: a descriptor that is readable when one of those that are listened for has
// ended.
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
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

 private:
  const int descriptor_;
  std::mutex mutex_;
  std::vector<std::uint64_t> ended_;
};

}  // namespace

void add_ends(py::module_& module) {
  py::class_<Ends, std::shared_ptr<Ends>>(module, "_Ends", "Ends of runs, for an event loop.")
      .def(py::init<>())
      .def("fileno", [](const Ends& ends) { return ends.descriptor(); })
      .def("take", &Ends::take)
      .def("listen", [](const std::shared_ptr<Ends>& ends, const RunOf& run, std::uint64_t number) {
        if (run.simulated) {
          throw bad_argument("a run of a simulation goes on where somebody waits for it or makes steps",
                             "handle.result()");
        }
        try {
          std::thread([ends, number, handle = run.handle] {
            try {
              handle.wait();
            } catch (const Error&) {  // whoever asks for its result hears of it
            }
            ends->add(number);
          }).detach();
        } catch (const std::system_error& failed) {
          throw Error(actors::Errc::wrong_state, std::string("no thread to wait for a run: ") + failed.what(),
                      "await fewer handles at once");
        }
      });
}

}  // namespace troupe::python
