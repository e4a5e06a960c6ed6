#pragma once

// Programs that are a rank each, without a System: what they are to Python. Inside Python only.

#include <chrono>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "arguments.hpp"
#include "border/interrupts.hpp"
#include "data/uses.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/comm/one_sided.hpp"

namespace troupe::python {

using comm::Communicator;
using comm::OneSided;

/// One of some words, by its place among them.
template <class Enum>
Enum one_of(const std::string& word, std::initializer_list<std::pair<const char*, Enum>> words,
            const char* what) {
  std::string known;
  for (const auto& [name, value] : words) {
    if (word == name) return value;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  throw bad_argument(std::string(what) + " \"" + word + "\"", "there are " + known);
}

/// An array or tensor whose bytes lie one behind the other in host memory, for the time of a call.
struct Dense {
  std::byte* data = nullptr;
  std::size_t count = 0;
  runtime::DType dtype = runtime::DType::f32;
  actors::Tensor tensor;  ///< keeps an array
  std::shared_ptr<const void> keep;

  Dense(const py::object& given, bool writes) : tensor(tensor_of(given, writes)) {
    const auto& description = tensor.description();
    if (!description.is_contiguous())
      throw bad_argument("an array with gaps between its elements", "numpy.ascontiguousarray(x) has none");
    count = static_cast<std::size_t>(tensor.elements());
    dtype = tensor.dtype();
    if (is_tensor(given)) {
      auto elements = host_elements(tensor, writes ? HostUse::change : HostUse::look, true);
      data = static_cast<std::byte*>(elements.data);
      keep = std::move(elements.keep);
    } else {
      data = static_cast<std::byte*>(description.host_address());
    }
  }
  std::size_t bytes() const { return count * static_cast<std::size_t>(runtime::size_of(dtype)); }
  bool is_like(const Dense& other) const { return dtype == other.dtype && count == other.count; }
};

/// A rank as its program has it; one thread at a time, but for abort().
class Session {
 public:
  Session(std::uint32_t rank, std::uint32_t ranks, const std::string& meeting, const py::object& timeout,
          bool allow_several)
      : options_(comm::CommOptions::from_environment().value()) {
    if (!timeout.is_none()) options_.timeout = duration_of(timeout, "timeout");
    options_.allow_several = allow_several;
    comm_.emplace(Communicator::init(rank, ranks, meeting, options_).value());
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    const WithoutPython outside;
    comm_.reset();
  }

  /// Waits outside of Python, where Ctrl-C ends the domain for all.
  template <class Work>
  auto call(Work work) {
    if (busy_)
      throw Error(comm::Errc::wrong_state,
                  "two threads use rank " + std::to_string(comm_->rank()) + " at once",
                  "a thread each may be a rank each");
    busy_ = true;
    const Busy here(busy_);
    std::optional<Error> failed;
    using Answer = std::decay_t<decltype(work(*comm_).value())>;
    std::optional<Answer> answer;
    {
      const SignalWatch watch(SignalWatch::On::ctrl_c);
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      const std::stop_callback on_signal(watch.token(), [this] { comm_->abort(); });
      without_python([&] {
        auto result = work(*comm_);
        if (result) {
          answer.emplace(*std::move(result));
        } else {
          failed = result.error();
        }
      });
    }
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (failed) throw *failed;
    return *std::move(answer);
  }
  void call_nothing(const std::function<Result<void>(Communicator&)>& work) {
    (void)call([&](Communicator& rank) -> Result<bool> {
      auto done = work(rank);
      if (!done) return done.error();
      return true;
    });
  }

  Communicator& get() { return *comm_; }
  const Communicator& get() const { return *comm_; }
  OneSided windows() {
    if (comm_->window_size() == 0)
      throw Error(comm::Errc::wrong_state, "there are no windows yet", "alloc_windows(nbytes) makes them");
    return OneSided(comm_->domain());
  }
  bool has_windows() const { return comm_->window_size() != 0; }
  comm::Deadline until(const py::object& timeout) const {
    const auto most =
        timeout.is_none() ? std::chrono::nanoseconds(options_.timeout) : duration_of(timeout, "timeout");
    const auto now = std::chrono::steady_clock::now();
    return most >= comm::never - now ? comm::never : now + most;
  }
  const comm::CommOptions& options() const { return options_; }

 private:
  struct Busy {
    explicit Busy(bool& of) : flag(&of) {}
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy() { *flag = false; }
    bool* flag;
  };

  comm::CommOptions options_;
  std::optional<Communicator> comm_;
  bool busy_ = false;  ///< looked at inside Python
};
using SessionRef = std::shared_ptr<Session>;

/// Collective operations of a rank, on `bytes` of the windows from `offset` on.
py::object collectives_of(SessionRef rank, std::uint64_t offset, std::uint64_t bytes,
                          const py::object& timeout);

void add_collectives(py::module_& module);

}  // namespace troupe::python
