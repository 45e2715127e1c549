// Package generate answers a request of a protobuf compiler with generated code.
package generate

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/asyncpb/async/internal/contract"
	"github.com/asyncpb/async/protoc-gen-async/internal/model"
	"github.com/asyncpb/async/protoc-gen-async/internal/render"
)

// DefaultSuffix is what the name of a generated sub-package adds to the name of the package of the messages.
const DefaultSuffix = "async"

// Response answers a request, with code or with an error that lists everything that is wrong with the annotations, and
// returns the warnings. It depends on nothing but the request, and not on the order of files in it.
func Response(request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, contract.Findings) {
	response, warnings, err := respond(request)
	if err != nil {
		response = &pluginpb.CodeGeneratorResponse{Error: new(err.Error())}
	}
	response.SupportedFeatures = new(uint64(
		pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL | pluginpb.CodeGeneratorResponse_FEATURE_SUPPORTS_EDITIONS))
	response.MinimumEdition = new(int32(descriptorpb.Edition_EDITION_PROTO2))
	response.MaximumEdition = new(int32(descriptorpb.Edition_EDITION_2024))
	return response, warnings
}

func respond(request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, contract.Findings, error) {
	if err := validate(request); err != nil {
		return nil, nil, err
	}
	suffix := DefaultSuffix
	options := protogen.Options{
		ImportRewriteFunc: render.ImportPath,
		ParamFunc: func(name, value string) error {
			if name != "package_suffix" {
				return fmt.Errorf("parameter %q is not known; the parameters are package_suffix, paths, module and M<file>", name)
			}
			if strings.Trim(value, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
				return fmt.Errorf("package_suffix %q makes no Go package name; write small letters, digits and underscores, or nothing", value)
			}
			suffix = value
			return nil
		},
	}
	gen, err := options.New(request)
	if err != nil {
		return nil, nil, err
	}
	files, found := model.Build(gen, suffix)
	if err := found.Err(); err != nil {
		return nil, found.Warnings(), err
	}
	for _, file := range files {
		if err := render.File(gen, file); err != nil {
			return nil, found.Warnings(), err
		}
	}
	return gen.Response(), found.Warnings(), nil
}
