#include "args.hpp"

#include <algorithm>
#include <cmath>

#include "troupe/platform/errc.hpp"
#include "troupe/runtime/half.hpp"

namespace troupe::platform {

std::int64_t SceneParams::operator[](const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw Error{Errc::invalid_argument, "the case has no parameter '" + name + "'"};
  return found->second;
}

std::int64_t SceneParams::get(const std::string& name, std::int64_t otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : found->second;
}

SceneArgs::SceneArgs() : state_(std::make_unique<State>()) {}
SceneArgs::~SceneArgs() = default;

SceneTensor& SceneArgs::State::find(const std::string& name) {
  for (auto& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  throw Error{Errc::invalid_argument, "the scene has no tensor '" + name + "'"};
}

namespace {
SceneTensor& typed(SceneTensor& tensor, runtime::DType dtype) {
  if (tensor.dtype == dtype) return tensor;
  throw Error{Errc::invalid_argument, "tensor '" + tensor.name + "' is " +
                                          std::string{runtime::name_of(tensor.dtype)} + ", not " +
                                          std::string{runtime::name_of(dtype)}};
}
}  // namespace

std::span<std::byte> SceneArgs::add_tensor(const std::string& name, const runtime::Shape& shape,
                                           runtime::DType dtype, runtime::Tag tag, bool resident) {
  const auto bytes = runtime::Tensor::unallocated(shape, dtype).bytes();
  auto& tensor = state_->tensors.emplace_back();
  tensor = {name, shape, dtype, tag, resident, std::vector<std::byte>(bytes), {}};
  // A vector's buffer stays where it is when the list of tensors grows.
  return tensor.given;
}

void SceneArgs::add_scalar(const std::string& name, runtime::ScalarArg value) {
  state_->scalars.push_back({name, value});
}

std::span<const std::byte> SceneArgs::given(const std::string& name, runtime::DType dtype) const {
  return typed(state_->find(name), dtype).given;
}

std::span<std::byte> SceneArgs::wanted(const std::string& name, runtime::DType dtype) {
  auto& tensor = typed(state_->find(name), dtype);
  if (!runtime::writes(tensor.tag)) {
    throw Error{Errc::invalid_argument, "tensor '" + name + "' is an input: nothing is expected of it"};
  }
  return tensor.expected;
}

runtime::ScalarArg SceneArgs::scalar_of(const std::string& name) const {
  for (const auto& scalar : state_->scalars) {
    if (scalar.name == name) return scalar.value;
  }
  throw Error{Errc::invalid_argument, "the scene has no scalar '" + name + "'"};
}

namespace {

struct Closeness {
  double relative, absolute;
  template <class T>
  bool close(T got, T want) const {
    if constexpr (std::is_integral_v<T>) {
      return got == want;
    } else {
      const auto g = static_cast<double>(static_cast<float>(got));
      const auto w = static_cast<double>(static_cast<float>(want));
      if (std::isnan(w)) return std::isnan(g);
      if (g == w) return true;  // infinities included
      return std::abs(g - w) <= absolute + relative * std::abs(w);
    }
  }
};

template <class T>
std::string text_of(T value) {
  if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else {
    return std::to_string(static_cast<float>(value));
  }
}

template <class T>
std::string compare(const SceneTensor& tensor, const std::vector<std::byte>& got,
                    const Closeness& closeness) {
  std::size_t wrong = 0;
  std::string first;
  const std::size_t count = got.size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) {
    T g{}, w{};
    std::memcpy(&g, got.data() + i * sizeof(T), sizeof(T));
    std::memcpy(&w, tensor.expected.data() + i * sizeof(T), sizeof(T));
    if (closeness.close(g, w)) continue;
    if (wrong++ == 0)
      first = "element " + std::to_string(i) + " is " + text_of(g) + ", expected " + text_of(w);
  }
  if (wrong == 0) return {};
  return "'" + tensor.name + "': " + std::to_string(wrong) + " of " + std::to_string(count) +
         " elements differ, " + first;
}

}  // namespace

std::string difference(const SceneTensor& tensor, const std::vector<std::byte>& got, double relative,
                       double absolute) {
  const Closeness closeness{relative, absolute};
  using runtime::DType;
  switch (tensor.dtype) {
    case DType::f32:
      return compare<float>(tensor, got, closeness);
    case DType::f16:
      return compare<runtime::Float16>(tensor, got, closeness);
    case DType::bf16:
      return compare<runtime::BFloat16>(tensor, got, closeness);
    case DType::i32:
      return compare<std::int32_t>(tensor, got, closeness);
    case DType::i16:
      return compare<std::int16_t>(tensor, got, closeness);
    case DType::i8:
      return compare<std::int8_t>(tensor, got, closeness);
    case DType::f64:
      return compare<double>(tensor, got, closeness);
    case DType::u8:
    case DType::boolean:
    case DType::f8e4m3:
    case DType::f8e8m0:
    case DType::f4e2m1:
      return compare<std::uint8_t>(tensor, got, closeness);
    case DType::i64:
      return compare<std::int64_t>(tensor, got, closeness);
    case DType::u64:
      return compare<std::uint64_t>(tensor, got, closeness);
    case DType::u16:
      return compare<std::uint16_t>(tensor, got, closeness);
    case DType::u32:
      return compare<std::uint32_t>(tensor, got, closeness);
  }
  return "'" + tensor.name + "' has an unknown dtype";
}

}  // namespace troupe::platform
