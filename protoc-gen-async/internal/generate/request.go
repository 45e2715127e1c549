package generate

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/types/pluginpb"
)

// validate refuses requests that no compiler sends and that protogen takes for granted.
func validate(request *pluginpb.CodeGeneratorRequest) error {
	if len(request.GetFileToGenerate()) == 0 {
		return errors.New("the request names no file to generate; run protoc-gen-async through buf or protoc")
	}
	for _, file := range request.GetProtoFile() {
		if file == nil {
			return errors.New("the request holds an empty file descriptor; run protoc-gen-async through buf or protoc")
		}
	}
	names := map[string]bool{}
	for _, file := range request.GetProtoFile() {
		if names[file.GetName()] {
			return fmt.Errorf("the request holds %q twice; run protoc-gen-async through buf or protoc", file.GetName())
		}
		names[file.GetName()] = true
	}
	return nil
}
