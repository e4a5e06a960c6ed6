#include "troupe/runtime/wire.hpp"

#include <algorithm>

#include "text.hpp"

namespace troupe::runtime::wire {
namespace {

// The tensors lie in memory as they travel; Tensor's layout is part of the version.
static_assert(sizeof(Tensor) == 80 && sizeof(Tag) == 1);

constexpr std::size_t padded(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

struct ConfigHeader {
  std::uint32_t magic = config_magic;
  std::uint16_t version = wire::version;
  std::uint16_t reserved = 0;
};

constexpr std::size_t config_at = sizeof(ConfigHeader);
static_assert(config_at + sizeof(CallConfig) + 4 == config_bytes);

template <class Header>
Result<Header> read_header(std::span<const std::byte> bytes, std::uint32_t magic, std::string_view what) {
  if (bytes.size() < sizeof(Header)) {
    return Error(Errc::wire_truncated,
                 text("encoded ", what, ": ", bytes.size(), " bytes, its header alone has ", sizeof(Header)));
  }
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != magic) return Error(Errc::wire_version, text("these bytes are no encoded ", what));
  if (header.version != version) {
    return Error(Errc::wire_version,
                 text("encoded ", what, " of version ", header.version, "; this build reads ", version));
  }
  if (header.reserved != 0)
    return Error(Errc::wire_malformed, text("encoded ", what, ": reserved field not zero"));
  return header;
}

/// The header and the promise that everything it announces is there.
Result<WireHeader> check(std::span<const std::byte> bytes, const ArgLimits& limits) {
  Result<WireHeader> header = read_header<WireHeader>(bytes, args_magic, "arguments");
  if (!header) return header;
  if (header->tensors > limits.tensors) {
    return Error(Errc::too_many_tensors, text("encoded arguments announce ", header->tensors,
                                              " tensors; at most ", limits.tensors, " are allowed"));
  }
  if (header->scalars > limits.scalars) {
    return Error(Errc::too_many_scalars, text("encoded arguments announce ", header->scalars,
                                              " scalars; at most ", limits.scalars, " are allowed"));
  }
  // 32-bit counts: nothing below can overflow.
  const std::uint64_t needed = sizeof(WireHeader) + header->tensors * std::uint64_t{sizeof(Tensor)} +
                               header->scalars * std::uint64_t{8} + padded(header->tensors);
  if (header->total_bytes != needed) {
    return Error(Errc::wire_malformed,
                 text("encoded arguments of ", header->tensors, " tensors and ", header->scalars,
                      " scalars take ", needed, " bytes, not ", header->total_bytes));
  }
  if (bytes.size() < needed) {
    return Error(Errc::wire_truncated, text("encoded arguments: ", bytes.size(), " of ", needed, " bytes"));
  }
  return header;
}

}  // namespace

std::size_t encoded_size(const TaskArgsView& view) noexcept {
  return sizeof(WireHeader) + view.tensors.size_bytes() + view.scalars.size_bytes() +
         padded(view.tags.size_bytes());
}

Result<std::size_t> encode(const TaskArgsView& view, std::span<std::byte> bytes) {
  const std::size_t total = encoded_size(view);
  if (bytes.size() < total) {
    return Error(Errc::wire_truncated,
                 text("arguments take ", total, " bytes, there is room for ", bytes.size()));
  }
  WireHeader header;
  header.tensors = static_cast<std::uint32_t>(view.tensors.size());
  header.scalars = static_cast<std::uint32_t>(view.scalars.size());
  header.total_bytes = total;
  std::byte* to = bytes.data();
  const auto put = [&to](const void* from, std::size_t size) {
    if (size != 0) std::memcpy(to, from, size);
    to += size;
  };
  put(&header, sizeof header);
  put(view.tensors.data(), view.tensors.size_bytes());
  put(view.scalars.data(), view.scalars.size_bytes());
  put(view.tags.data(), view.tags.size_bytes());
  std::fill(to, bytes.data() + total, std::byte{0});
  return total;
}

std::vector<std::byte> encode(const TaskArgsView& view) {
  std::vector<std::byte> bytes(encoded_size(view));
  (void)encode(view, bytes).value();
  return bytes;
}

Result<TaskArgsView> decode_view(std::span<const std::byte> bytes, const ArgLimits& limits) {
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment != 0) {
    return Error(Errc::misaligned,
                 text("encoded arguments must start at a multiple of ", alignment, " bytes"),
                 "decode() copies and takes any alignment");
  }
  const Result<WireHeader> header = check(bytes, limits);
  if (!header) return header.error();
  const std::byte* tensors = bytes.data() + sizeof(WireHeader);
  const std::byte* scalars = tensors + header->tensors * sizeof(Tensor);
  const std::byte* tags = scalars + header->scalars * sizeof(std::uint64_t);
  const std::byte* end = bytes.data() + header->total_bytes;
  if (std::any_of(tags + header->tensors, end, [](std::byte byte) { return byte != std::byte{0}; })) {
    return Error(Errc::wire_malformed, "encoded arguments: padding not zero");
  }
  // Trivially copyable types over checked, aligned bytes: reading them in place is what this format is for.
  const TaskArgsView view{{reinterpret_cast<const Tensor*>(tensors), header->tensors},
                          {reinterpret_cast<const Tag*>(tags), header->tensors},
                          {reinterpret_cast<const std::uint64_t*>(scalars), header->scalars}};
  if (auto ok = validate(view, limits); !ok) return ok.error();
  return view;
}

Result<TaskArgs> decode(std::span<const std::byte> bytes, const ArgLimits& limits) {
  const Result<WireHeader> header = check(bytes, limits);
  if (!header) return header.error();
  std::vector<std::uint64_t> aligned(header->total_bytes / sizeof(std::uint64_t));
  std::memcpy(aligned.data(), bytes.data(), header->total_bytes);
  const Result<TaskArgsView> view = decode_view(std::as_bytes(std::span(aligned)), limits);
  if (!view) return view.error();
  TaskArgs args(limits);
  for (std::size_t i = 0; i < view->tensors.size(); ++i) {
    if (auto ok = args.try_add(TensorArg{view->tensors[i], view->tags[i]}); !ok) return ok.error();
  }
  for (const std::uint64_t word : view->scalars) {
    if (auto ok = args.try_add(ScalarArg{word}); !ok) return ok.error();
  }
  return args;
}

std::vector<std::byte> encode(const CallConfig& config) {
  std::vector<std::byte> bytes(config_bytes);
  const ConfigHeader header;
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + config_at, &config, sizeof config);
  return bytes;
}

Result<CallConfig> decode_config(std::span<const std::byte> bytes) {
  const Result<ConfigHeader> header = read_header<ConfigHeader>(bytes, config_magic, "call configuration");
  if (!header) return header.error();
  if (bytes.size() < config_bytes) {
    return Error(Errc::wire_truncated,
                 text("encoded call configuration: ", bytes.size(), " of ", config_bytes, " bytes"));
  }
  const auto zero_or_one = [&](std::size_t at) { return std::to_integer<unsigned>(bytes[at]) <= 1; };
  const auto tail = bytes.subspan(config_at + sizeof(CallConfig), 4);
  if (!zero_or_one(config_at + offsetof(CallConfig, enable_profiling)) ||
      !zero_or_one(config_at + offsetof(CallConfig, enable_dump_tensor)) ||
      std::any_of(tail.begin(), tail.end(), [](std::byte byte) { return byte != std::byte{0}; })) {
    return Error(Errc::wire_malformed,
                 "encoded call configuration: a flag is neither 0 nor 1, or padding is not zero");
  }
  CallConfig config;
  std::memcpy(&config, bytes.data() + config_at, sizeof config);
  if (auto ok = validate(config); !ok) return ok.error();
  return config;
}

}  // namespace troupe::runtime::wire
