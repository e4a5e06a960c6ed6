// Programs that are a rank each, without a System: what host code does with windows, and collectives of
// arrays.
#include <chrono>

#include "arguments.hpp"
#include "border/interrupts.hpp"
#include "data/uses.hpp"
#include "troupe/comm/collectives.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/comm/one_sided.hpp"

namespace troupe::python {
namespace {

using comm::Collectives;
using comm::Communicator;
using comm::Compare;
using comm::NotifyOp;
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

comm::ReduceOp operation_of(const std::string& word) {
  using comm::ReduceOp;
  return one_of<ReduceOp>(word, {{"sum", ReduceOp::sum}, {"min", ReduceOp::min}, {"max", ReduceOp::max}},
                          "operation");
}

comm::AllReduceAlgorithm algorithm_of(const std::string& word) {
  using A = comm::AllReduceAlgorithm;
  return one_of<A>(word,
                   {{"automatic", A::automatic},
                    {"one_phase", A::one_phase},
                    {"two_phase", A::two_phase},
                    {"ring", A::ring},
                    {"bidirectional_ring", A::bidirectional_ring}},
                   "algorithm");
}

Compare compare_of(const std::string& word) {
  return one_of<Compare>(word,
                         {{"==", Compare::equal},
                          {"!=", Compare::not_equal},
                          {">", Compare::greater},
                          {">=", Compare::greater_equal},
                          {"<", Compare::less},
                          {"<=", Compare::less_equal}},
                         "compare");
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

Error unlike(const std::string& what) {
  return bad_argument(what, "arrays of one element type, with as many elements as the operation says");
}

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

/// Calls `work` with a value of the type of a signal word.
template <class Work>
auto with_word(const std::string& type, const py::object& value, Work work) {
  const auto number = whole_number(value, "value");
  if (type == "int32") return work(integer_of<std::int32_t>(number, "value"));
  if (type == "uint32") return work(integer_of<std::uint32_t>(number, "value"));
  if (type == "int64") return work(integer_of<std::int64_t>(number, "value"));
  if (type == "uint64") return work(integer_of<std::uint64_t>(number, "value"));
  throw bad_argument("type \"" + type + "\"", "a signal word is an int32, uint32, int64 or uint64");
}

void put(const SessionRef& of, std::uint32_t rank, std::uint64_t offset, const py::object& data) {
  const Dense from(data, false);
  of->call_nothing([&](Communicator&) { return of->windows().put(rank, offset, {from.data, from.bytes()}); });
}

void get(const SessionRef& of, std::uint32_t rank, std::uint64_t offset, const py::object& data) {
  const Dense to(data, true);
  of->call_nothing([&](Communicator&) { return of->windows().get(rank, offset, {to.data, to.bytes()}); });
}

void notify(const SessionRef& of, std::uint32_t rank, std::uint64_t offset, const py::object& value,
            const std::string& op, const std::string& type) {
  const auto how = one_of<NotifyOp>(op, {{"set", NotifyOp::set}, {"add", NotifyOp::add}}, "op");
  with_word(type, value, [&](auto word) {
    of->call_nothing([&](Communicator&) { return of->windows().notify(rank, offset, how, word); });
  });
}

void wait_until(const SessionRef& of, std::uint32_t rank, std::uint64_t offset, const std::string& compare,
                const py::object& value, const std::string& type, const py::object& timeout) {
  const auto how = compare_of(compare);
  const auto until = of->until(timeout);
  with_word(type, value, [&](auto word) {
    of->call_nothing([&](Communicator&) { return of->windows().wait_until(rank, offset, how, word, until); });
  });
}

bool test(const SessionRef& of, std::uint32_t rank, std::uint64_t offset, const std::string& compare,
          const py::object& value, const std::string& type) {
  const auto how = compare_of(compare);
  return with_word(type, value, [&](auto word) -> bool {
    return of->call([&](Communicator&) { return of->windows().test(rank, offset, how, word); });
  });
}

/// Collectives of a rank, over arrays of its program's.
class CollectivesOf {
 public:
  CollectivesOf(SessionRef rank, std::uint64_t offset, std::uint64_t bytes, const py::object& timeout)
      : rank_(std::move(rank)) {
    comm::CollectiveOptions options;
    options.timeout = rank_->options().timeout;
    if (!timeout.is_none()) options.timeout = duration_of(timeout, "timeout");
    rank_->call_nothing([&](Communicator& of) -> Result<void> {
      (void)rank_->windows();
      auto made = Collectives::over(of.domain(), {offset, bytes}, options);
      if (!made) return made.error();
      over_.emplace(*std::move(made));
      return {};
    });
  }
  void call(const std::function<Result<void>(Collectives&)>& work) const {
    rank_->call_nothing([&](Communicator&) {
      (void)rank_->windows();  // with which the domain has gone that they are over
      return work(*over_);
    });
  }
  std::uint32_t rank() const { return rank_->get().rank(); }
  std::uint32_t ranks() const { return rank_->get().ranks(); }

 private:
  SessionRef rank_;
  mutable std::optional<Collectives> over_;
};

void all_reduce(const CollectivesOf& of, const py::object& data, const py::object& result,
                const std::string& operation, const std::string& algorithm) {
  const Dense in(data, result.is_none());
  std::optional<Dense> out;
  if (!result.is_none()) out.emplace(result, true);
  if (out && !out->is_like(in)) throw unlike("a result that is not like what is reduced");
  auto* const to = out ? out->data : in.data;
  const auto op = operation_of(operation);
  const auto how = algorithm_of(algorithm);
  of.call([&](Collectives& all) { return all.all_reduce(in.data, to, in.count, in.dtype, op, how); });
}

std::size_t part_of(const CollectivesOf& of, std::size_t count) {
  return comm::part_of(count, of.ranks(), of.rank()).count;
}

void all_gather(const CollectivesOf& of, const py::object& part, const py::object& result) {
  const Dense in(part, false), out(result, true);
  if (in.dtype != out.dtype || in.count != part_of(of, out.count)) {
    throw unlike("a part of " + std::to_string(in.count) + " elements, where that of this rank has " +
                 std::to_string(part_of(of, out.count)) + " of the " + std::to_string(out.count));
  }
  of.call([&](Collectives& all) { return all.all_gather(in.data, out.data, out.count, out.dtype); });
}

void reduce_scatter(const CollectivesOf& of, const py::object& data, const py::object& part,
                    const std::string& operation) {
  const Dense in(data, false), out(part, true);
  if (in.dtype != out.dtype || out.count != part_of(of, in.count)) {
    throw unlike("a part of " + std::to_string(out.count) + " elements, where that of this rank has " +
                 std::to_string(part_of(of, in.count)) + " of the " + std::to_string(in.count));
  }
  const auto op = operation_of(operation);
  of.call([&](Collectives& all) { return all.reduce_scatter(in.data, out.data, in.count, in.dtype, op); });
}

void broadcast(const CollectivesOf& of, const py::object& data, std::uint32_t root) {
  const Dense all_of(data, true);
  of.call([&](Collectives& all) { return all.broadcast(all_of.data, all_of.count, all_of.dtype, root); });
}

void all_to_all(const CollectivesOf& of, const py::object& data, const py::object& result) {
  const Dense in(data, false), out(result, true);
  const auto ranks = of.ranks();
  if (!out.is_like(in) || in.count % ranks != 0)
    throw unlike("arrays of " + std::to_string(in.count) + " and " + std::to_string(out.count) +
                 " elements, of which each of " + std::to_string(ranks) + " ranks gets a block");
  of.call([&](Collectives& all) { return all.all_to_all(in.data, out.data, in.count / ranks, in.dtype); });
}

}  // namespace

void add_ranks(py::module_& module) {
  py::class_<CollectivesOf>(
      module, "Collectives",
      "Collective operations over the arrays of the programs of ranks: comm.collectives().\n\n"
      "Every rank makes the same calls in the same order; each blocks.")
      .def_property_readonly(
          "rank", [](const CollectivesOf& of) { return of.rank(); }, "Of this program.")
      .def_property_readonly(
          "ranks", [](const CollectivesOf& of) { return of.ranks(); }, "How many there are.")
      .def("all_reduce", &all_reduce, py::arg("data"), py::arg("result") = py::none(), py::kw_only(),
           py::arg("operation") = "sum", py::arg("algorithm") = "automatic",
           "Every rank gets the sum (or min, max) of all; in `result`, or where the data is.")
      .def("all_gather", &all_gather, py::arg("part"), py::arg("result"), "Every rank gets the parts of all.")
      .def("reduce_scatter", &reduce_scatter, py::arg("data"), py::arg("part"), py::kw_only(),
           py::arg("operation") = "sum", "Every rank gets its part of the sum.")
      .def("broadcast", &broadcast, py::arg("data"), py::arg("root") = 0, "Every rank gets what one has.")
      .def("all_to_all", &all_to_all, py::arg("data"), py::arg("result"),
           "Every rank gets a block from each: block p of `data` goes to rank p.")
      .def(
          "barrier", [](const CollectivesOf& of) { of.call([](Collectives& all) { return all.barrier(); }); },
          "No rank goes on before all are there.")
      .def(
          "reset", [](const CollectivesOf& of) { of.call([](Collectives& all) { return all.reset(); }); },
          "Back in step after a failure that did not end the domain; every rank calls it.")
      .def("part_of", &part_of, py::arg("count"),
           "How many of `count` elements are this rank's part, in all_gather and reduce_scatter.")
      .def("__repr__", [](const CollectivesOf& of) {
        return "<troupe.Collectives of rank " + std::to_string(of.rank()) + " of " +
               std::to_string(of.ranks()) + ">";
      });

  py::class_<Session, SessionRef>(
      module, "Communicator",
      "A program that is one of several ranks: threads of one process, or processes of one user.\n\n"
      "    with troupe.Communicator(rank, ranks, \"job 17\") as comm:\n"
      "        comm.alloc_windows(1 << 21)             # meets the others, who name the same job\n"
      "        comm.collectives().all_reduce(x)        # x: an array\n\n"
      "timeout        seconds that a call waits for ranks that do not come; TROUPE_COMM_TIMEOUT, or 120\n"
      "allow_several  a further one where there is one already\n\n"
      "No System is needed, and chips know nothing of it. A rank that dies ends every wait with peer_lost. "
      "Ctrl-C while it\n"
      "waits is abort().")
      .def(py::init<std::uint32_t, std::uint32_t, const std::string&, const py::object&, bool>(),
           py::arg("rank"), py::arg("ranks"), py::arg("meeting"), py::kw_only(),
           py::arg("timeout") = py::none(), py::arg("allow_several") = false)
      .def_property_readonly(
          "rank", [](const SessionRef& of) { return of->get().rank(); }, "Of this program.")
      .def_property_readonly(
          "ranks", [](const SessionRef& of) { return of->get().ranks(); }, "How many there are.")
      .def_property_readonly(
          "window_size", [](const SessionRef& of) { return of->get().window_size(); },
          "Bytes of each rank's window; 0: there are none yet.")
      .def(
          "alloc_windows",
          [](const SessionRef& of, std::uint64_t nbytes) {
            of->call_nothing([&](Communicator& rank) -> Result<void> {
              auto made = rank.alloc_windows(nbytes);
              if (!made) return made.error();
              return {};
            });
          },
          py::arg("nbytes"), "Meets the other ranks; each has a window of so many bytes then, zeroed. Once.")
      .def("put", &put, py::arg("rank"), py::arg("offset"), py::arg("data"),
           "Copies an array into the window of a rank, `offset` bytes from its begin.")
      .def("get", &get, py::arg("rank"), py::arg("offset"), py::arg("data"),
           "Copies out of the window of a rank, into an array.")
      .def("notify", &notify, py::arg("rank"), py::arg("offset"), py::arg("value"), py::arg("op") = "set",
           py::arg("type") = "uint32",
           "Sets a word in the window of a rank, or adds to it, and wakes who waits for it. What was put "
           "before "
           "is seen\n"
           "by who sees that.")
      .def("wait_until", &wait_until, py::arg("rank"), py::arg("offset"), py::arg("compare"),
           py::arg("value"), py::arg("type") = "uint32", py::arg("timeout") = py::none(),
           "Waits for a word in the window of a rank: comm.wait_until(comm.rank, 0, \"==\", 1).")
      .def("test", &test, py::arg("rank"), py::arg("offset"), py::arg("compare"), py::arg("value"),
           py::arg("type") = "uint32", "Looks once whether wait_until would wait.")
      .def(
          "fence",
          [](const SessionRef& of) {
            of->call_nothing(
                [&](Communicator&) -> Result<void> { return of->windows().fence(), Result<void>(); });
          },
          "What was put before is there before what is put later.")
      .def(
          "barrier",
          [](const SessionRef& of) { of->call_nothing([](Communicator& rank) { return rank.barrier(); }); },
          "No rank goes on before all are there.")
      .def(
          "collectives",
          [](const SessionRef& of, std::uint64_t offset, std::uint64_t nbytes, const py::object& timeout) {
            return CollectivesOf(of, offset, nbytes, timeout);
          },
          py::arg("offset") = 0, py::arg("nbytes") = comm::CollectiveWorkspace::comfortable,
          py::arg("timeout") = py::none(),
          "Collective operations, which use so many bytes of the windows for themselves.")
      .def(
          "abort", [](const SessionRef& of) { of->get().abort(); },
          "Ends every wait of every rank with `aborted`. On any thread.")
      .def(
          "destroy",
          [](const SessionRef& of) { of->call_nothing([](Communicator& rank) { return rank.destroy(); }); },
          "Leaves together with the others; the end of `with` does it.")
      .def("__enter__", [](const SessionRef& of) { return of; })
      .def("__exit__",
           [](const SessionRef& of, const py::object& type, const py::object&, const py::object&) {
             // After an exception nobody should wait for this rank.
             if (!type.is_none()) of->get().abort();
             try {
               of->call_nothing([](Communicator& rank) { return rank.destroy(); });
             } catch (const Error&) {
               if (type.is_none()) throw;
             }
           })
      .def("__repr__", [](const SessionRef& of) {
        return "<troupe.Communicator, rank " + std::to_string(of->get().rank()) + " of " +
               std::to_string(of->get().ranks()) + (of->has_windows() ? ">" : ", without windows>");
      });
}

}  // namespace troupe::python
