#include "command/packed_program.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <ostream>
#include <system_error>
#include <utility>

#include "command/parameters.hpp"
#include "dump/elements.hpp"
#include "errc.hpp"
#include "troupe/actors/orchestrator.hpp"

namespace troupe::apps {

namespace {

constexpr const char* tensor_hint =
    "a tensor is TYPE[SHAPE]:TAG, e.g. f32[8,64]:in=1.5, f32[64]:out, i32[4]:inout@FILE";

Error bad(const std::string& option, const std::string& text, const std::string& why,
          const std::string& hint) {
  return Error(Errc::bad_parameter, option + " \"" + text + "\" " + why, hint);
}

Result<std::vector<std::uint8_t>> bytes_of(const std::string& file) {
  errno = 0;
  std::ifstream input(file, std::ios::binary);
  if (!input) {
    const int problem = errno;
    const bool a_name = file.find_first_of("/.") == std::string::npos;
    return Error(
        Errc::cannot_read,
        "\"" + file + "\" cannot be read" +
            (problem != 0 ? ": " + std::generic_category().message(problem) : ""),
        a_name ? "--tensor and --scalar are for a FILE.bin or FILE.tplan; a program takes --param k=v" : "");
  }
  return std::vector<std::uint8_t>{std::istreambuf_iterator<char>(input), {}};
}

std::optional<runtime::Shape> shape_from(std::string_view text) {
  std::vector<std::uint64_t> extents;
  while (true) {
    std::uint64_t extent = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (problem != std::errc()) return std::nullopt;
    extents.push_back(extent);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty()) break;
    if (text.front() != ',') return std::nullopt;
    text.remove_prefix(1);
  }
  auto shape = runtime::Shape::from(extents);
  return shape ? std::optional(*shape) : std::nullopt;
}

std::optional<runtime::Tag> tag_from(std::string_view text) {
  for (const auto tag : {runtime::Tag::in, runtime::Tag::out, runtime::Tag::inout}) {
    if (runtime::name_of(tag) == text) return tag;
  }
  return std::nullopt;
}

runtime::ScalarKind kind_called(std::string_view type) {
  for (std::uint8_t number = 1; number < 255; ++number) {
    const auto kind = static_cast<runtime::ScalarKind>(number);
    if (runtime::name_of(kind) == type) return kind;
  }
  return runtime::ScalarKind::any;
}

/// What stands behind a plan's file so that it runs.
std::string arguments_for(const std::vector<actors::PlanParameterInfo>& parameters) {
  std::string text;
  for (const auto& it : parameters) {
    if (it.is_tensor) {
      std::string shape = std::string(runtime::name_of(it.tensor.dtype())) + "[";
      for (std::size_t d = 0; d < it.tensor.dims(); ++d)
        shape += (d > 0 ? "," : "") + std::to_string(it.tensor.extent(d));
      text += " --tensor " + shape + (it.reads && it.writes ? "]:inout" : it.writes ? "]:out" : "]:in");
    } else if (it.is_slot) {
      text += " --scalar " + std::string(runtime::name_of(it.scalar.kind)) + "=…";
    }
  }
  return "its arguments are" + text;
}

}  // namespace

Result<PackedProgram> PackedProgram::from(const std::string& file, const std::vector<std::string>& tensors,
                                          const std::vector<std::string>& scalars) {
  PackedProgram program;
  if (file.ends_with(".tplan")) {
    program.plan_file_ = file;
  } else {
    auto bytes = bytes_of(file);
    if (!bytes) return bytes.error();
    program.bytes_ = *std::move(bytes);
  }
  program.name_ = file.substr(file.rfind('/') + 1);
  program.name_ = program.name_.substr(0, program.name_.rfind('.'));
  if ((program.bytes_.empty() && !program.is_plan()) || program.name_.empty())
    return Error(Errc::bad_file, "\"" + file + "\" has nothing in it, or no name");
  program.tensors_.reserve(tensors.size());  // tensors point into what stays where it is
  for (const auto& text : tensors) {
    if (auto added = program.add_tensor(text); !added) return added.error();
  }
  for (const auto& text : scalars) {
    if (auto added = program.add_scalar(text); !added) return added.error();
  }
  return program;
}

Result<void> PackedProgram::add_tensor(const std::string& text) {
  const auto wrong = [&](const std::string& why) { return bad("--tensor", text, why, tensor_hint); };
  const std::size_t open = text.find('['), close = text.find("]:");
  if (open == std::string::npos || close == std::string::npos || close < open)
    return wrong("has no shape, or no tag");
  const auto dtype = runtime::dtype_from_name(text.substr(0, open));
  if (!dtype) return wrong("has an unknown type");
  const auto shape = shape_from(std::string_view(text).substr(open + 1, close - open - 1));
  if (!shape) return wrong("has no shape of one to five extents");
  std::string rest = text.substr(close + 2);
  std::optional<std::string> value;
  Argument argument;
  argument.text = text;
  if (const auto at = rest.find('@'); at != std::string::npos) {
    argument.file = rest.substr(at + 1);
    if (argument.file.empty()) return wrong("names no file");
    rest.resize(at);
  } else if (const auto equals = rest.find('='); equals != std::string::npos) {
    value = rest.substr(equals + 1);
    rest.resize(equals);
  }
  const auto tag = tag_from(rest);
  if (!tag) return wrong("has a tag that is none of in, out, inout");
  const auto described = runtime::Tensor::create_unallocated(*shape, *dtype);
  if (!described || described->bytes() > std::uint64_t{1} << 36) return wrong("is too large");
  argument.bytes.resize(described->bytes());
  const std::size_t size = runtime::size_of(*dtype);
  if (value) {
    const auto word = word_of(runtime::name_of(*dtype), *value);
    if (!word) return wrong("has a value that is none of its type");
    for (std::size_t i = 0; i + size <= argument.bytes.size(); i += size)
      std::memcpy(argument.bytes.data() + i, &*word, size);
  }
  if (!argument.file.empty() && *tag != runtime::Tag::out) {
    const auto contents = bytes_of(argument.file);
    if (!contents) return contents.error();
    if (contents->size() != argument.bytes.size())
      return wrong("takes " + std::to_string(argument.bytes.size()) + " bytes, the file has " +
                   std::to_string(contents->size()));
    std::memcpy(argument.bytes.data(), contents->data(), contents->size());
  }
  if (!argument.file.empty() && *tag == runtime::Tag::out) {
    // Before the run, which may take long.
    errno = 0;
    const std::ofstream may(argument.file, std::ios::binary | std::ios::app);
    if (!may) {
      const int problem = errno;
      return Error(Errc::cannot_write,
                   "\"" + argument.file + "\" cannot be written" +
                       (problem != 0 ? ": " + std::generic_category().message(problem) : ""),
                   "does the folder exist, and may you write there?");
    }
  }
  argument.arg.tag = *tag;
  argument.arg.tensor = described->in_buffer(runtime::BufferRef::host(argument.bytes.data()));
  tensors_.push_back(std::move(argument));
  return {};
}

Result<void> PackedProgram::add_scalar(const std::string& text) {
  const auto equals = text.find('=');
  const auto word =
      equals == std::string::npos ? std::nullopt : word_of(text.substr(0, equals), text.substr(equals + 1));
  if (!word) return bad("--scalar", text, "is no TYPE=VALUE", "e.g. f32=0.5, i32=-3, u64=7, bool=true");
  // What comes as bytes takes a word as it is; a plan knows the types of its numbers.
  scalars_.push_back({*word, is_plan() ? kind_called(text.substr(0, equals)) : runtime::ScalarKind::any});
  return {};
}

void PackedProgram::load(const actors::Node& node) {
  if (is_plan()) {
    plan_ = node.load_plan(plan_file_);
  } else {
    node.add_kernel(name_, bytes_);
  }
}

actors::BoundProgram PackedProgram::bind_plan() const {
  const auto parameters = plan_.parameters();
  const auto tensors = std::ranges::count_if(parameters, &actors::PlanParameterInfo::is_tensor);
  const auto wrong = [&](const std::string& what) {
    return Error(Errc::bad_parameter, "plan \"" + plan_.name() + "\" " + what, arguments_for(parameters));
  };
  if (std::cmp_not_equal(tensors, tensors_.size()) ||
      scalars_.size() > parameters.size() - static_cast<std::size_t>(tensors)) {
    throw wrong("takes " + std::to_string(tensors) + " tensors and " +
                std::to_string(parameters.size() - static_cast<std::size_t>(tensors)) +
                " numbers, and is given " + std::to_string(tensors_.size()) + " and " +
                std::to_string(scalars_.size()));
  }
  actors::detail::PlanCall call;
  std::size_t tensor = 0, scalar = 0;
  for (const auto& it : parameters) {
    if (!it.is_tensor) {
      // Numbers that are not given stay as they were recorded.
      call.take(scalar < scalars_.size() ? scalars_[scalar++] : it.scalar);
      continue;
    }
    const auto& given = tensors_[tensor++].arg;
    if (given.tensor.dtype() != it.tensor.dtype() || given.tensor.shape() != it.tensor.shape())
      throw wrong("takes " + runtime::to_string(it.tensor) + " as tensor " + std::to_string(tensor - 1) +
                  ", and is given " + runtime::to_string(given.tensor));
    call.take(actors::TensorUse{actors::Operand(given), nullptr});
  }
  return actors::detail::bind_plan(plan_, std::move(call));
}

actors::BoundProgram PackedProgram::bind() const {
  if (is_plan()) return bind_plan();
  actors::BoundProgram program;
  program.name = name_;
  program.plain = [this](actors::Orchestrator& node) {
    auto call = node.new_call(tensors_.size());
    for (const auto& tensor : tensors_) call.args.add(tensor.arg);
    for (const auto& scalar : scalars_) call.args.add(scalar);
    node.submit_gathered(node.callable(name_), std::move(call));
  };
  return program;
}

Result<void> PackedProgram::show(std::ostream& out) const {
  constexpr std::size_t shown = 8;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const Argument& tensor = tensors_[i];
    if (!runtime::writes(tensor.arg.tag)) continue;
    const auto dtype = tensor.arg.tensor.dtype();
    const std::size_t size = runtime::size_of(dtype), count = tensor.bytes.size() / size;
    out << "tensor " << i << ' ' << runtime::to_string(tensor.arg.tensor) << ':';
    with_element_type(dtype, [&]<class T>(std::type_identity<T>) {
      for (std::size_t k = 0; k < std::min(count, shown); ++k)
        out << ' ' << number_text(load_element<T>(tensor.bytes.data() + k * size));
    });
    out << (count > shown ? " …\n" : "\n");
    if (tensor.file.empty() || tensor.arg.tag != runtime::Tag::out) continue;
    std::ofstream file(tensor.file, std::ios::binary);
    file.write(reinterpret_cast<const char*>(tensor.bytes.data()),
               static_cast<std::streamsize>(tensor.bytes.size()));
    if (!file.flush()) return Error(Errc::cannot_write, "\"" + tensor.file + "\" cannot be written");
  }
  return {};
}

}  // namespace troupe::apps
