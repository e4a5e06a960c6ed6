// Host functions in Python, and callables that come with a submit.
#include "arguments.hpp"

namespace troupe::python {
namespace {

/// The elements of one argument of a call: valid as long as the call.
Elements elements_of(const runtime::TensorDescriptor& argument) {
  Elements elements;
  elements.dtype = static_cast<runtime::DType>(argument.dtype);
  const auto bytes = runtime::size_of(elements.dtype);
  elements.data =
      reinterpret_cast<void*>(  // NOLINT(performance-no-int-to-ptr): the ABI carries addresses as words
          static_cast<std::uintptr_t>(argument.address + argument.start_offset * bytes));
  elements.bits = elements.dtype == runtime::DType::bf16;
  for (std::uint32_t dim = 0; dim < argument.ndims; ++dim) {
    elements.shape.push_back(static_cast<py::ssize_t>(argument.shapes[dim]));
    elements.strides.push_back(static_cast<py::ssize_t>(argument.strides[dim] * bytes));
  }
  return elements;
}

/// Of a context that several calls may be in at once, each its own.
py::object copy_of(const Kept& context) {
  if (!context) return {};
  auto made = py::reinterpret_steal<py::object>(PyContext_Copy(context.get().ptr()));
  if (!made) throw py::error_already_set();
  return made;
}

constexpr auto no_generator = "leave the yield away: what it computes goes into its tensors";

/// Calls it with the tensors as arrays, then the scalars.
void call(const py::object& function, const runtime::HostArgs& args, const py::object& context) {
  std::vector<py::object> lent;
  {
    py::tuple given(args.tensor_count() + args.scalar_count());
    std::size_t at = 0;
    for (std::size_t i = 0; i < args.tensor_count(); ++i) {
      auto elements = elements_of(args.descriptor(i));
      elements.readonly = args.is_read_only(i);
      lent.push_back(py::cast(std::move(elements)));
      given[at++] = array_over(lent.back());
    }
    for (std::size_t i = 0; i < args.scalar_count(); ++i) given[at++] = scalar_of_call(args, i);
    const auto result =
        py::reinterpret_steal<py::object>(call_python(function.ptr(), given.ptr(), context.ptr()));
    if (!result) throw py::error_already_set();
    if (PyGen_CheckExact(result.ptr()) != 0 || PyAsyncGen_CheckExact(result.ptr()) != 0)
      throw bad_argument("a host function returned a generator, of which nothing has run", no_generator);
  }
  for (std::size_t i = 0; i < lent.size(); ++i) {
    if (lent[i].ref_count() == 1) continue;
    py::module_::import("gc").attr("collect")();
    if (lent[i].ref_count() == 1) continue;
    throw bad_argument("a host function kept an array of its argument " + std::to_string(i) +
                           ", whose memory ends with the call",
                       "keep a copy: x.copy()");
  }
}

/// Takes the arguments of a task in the order in which they were given.
class FromTask {
 public:
  FromTask(Kept function, Kept context, std::string name, std::string order, std::int64_t soft_limit)
      : function_(std::move(function)),
        context_(std::move(context)),
        name_(std::move(name)),
        order_(std::move(order)),
        soft_limit_(soft_limit) {}

  actors::BoundProgram operator()(const actors::Arguments& args) const {
    const WithPython inside;
    if (!inside) throw Error(actors::Errc::shut_down, "Python is ending");
    auto reader = actors::detail::reader(args);
    py::list values;
    for (const char kind : order_) {
      if (kind == 't') {
        values.append(py::cast(reader.next<actors::Tensor>(name_)));
      } else {
        const auto at = reader.scalar++;
        const auto* kinds = args.kinds();
        const auto type =
            kinds != nullptr ? static_cast<runtime::ScalarKind>(kinds[at]) : runtime::ScalarKind::any;
        values.append(value_of({args.scalars.at(at), type}));
      }
    }
    auto program = std::make_shared<PythonProgram>(function_.get(), py::tuple(values), name_, soft_limit_);
    program->stay_in(copy_of(context_));
    return program->bind();
  }

 private:
  Kept function_, context_;
  std::string name_, order_;
  std::int64_t soft_limit_;
};

}  // namespace

actors::HostFunction host_function(py::object function, py::object context) {
  if (PyCallable_Check(function.ptr()) == 0)
    throw bad_argument(shown(function) + " is no host function", "give its name, or a function");
  if (is_coroutine_function(function))
    throw bad_argument("a host function is called on a thread of its own: it is no async def function");
  if (is_generator_function(function))
    throw bad_argument(
        "a host function is called, and " + shown(function) + " is a generator, of which nothing would run",
        no_generator);
  auto name = name_of(function);
  auto in = context ? Kept(std::move(context)) : Kept();
  return [kept = Kept(std::move(function)), in = std::move(in),
          name = std::move(name)](runtime::HostArgs& args) {
    const WithPython inside;
    if (!inside) throw Error(actors::Errc::shut_down, "Python is ending");
    const UserCode here;
    try {
      call(kept.get(), args, copy_of(in));
    } catch (py::error_already_set& raised) {
      throw error_from(raised, "host function \"" + name + "\"");
    }
  };
}

Named function_of(const py::object& callable) {
  if (py::isinstance<py::str>(callable)) return {string_of(callable, "the name of a host function")};
  return {"", actors::host_callable(name_of(callable), host_function(callable, context_here()))};
}

Named callable_of(const py::object& callable, std::span<PyObject* const> items, std::int64_t soft_limit) {
  if (PyUnicode_Check(callable.ptr()) != 0) return {string_of(callable, "the name of a callable")};
  if (py::hasattr(callable, "_troupe_host_function")) return function_of(callable);
  if (py::hasattr(callable, "_troupe_callable"))
    return {"", callable.attr("_troupe_callable").cast<actors::CallableRef>()};
  if (PyCallable_Check(callable.ptr()) == 0) {
    throw bad_argument(shown(callable) + " cannot be submitted",
                       "submit the name of a callable, a kernel, a host function, or (at a pod) a program");
  }
  auto made = std::make_shared<actors::Callable>();
  made->name = name_of(callable);
  made->kind = actors::CallableKind::program;
  std::string order;
  for (const py::handle item : items) order += tensor_use(item) != nullptr ? 't' : 's';
  made->program = FromTask(Kept(callable), Kept(context_here()), made->name, std::move(order), soft_limit);
  return {"", std::move(made)};
}

}  // namespace troupe::python
