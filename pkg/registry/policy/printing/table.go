// Package printing holds what the tables of both kinds have in common.
package printing

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// None stands for what is not there, so that columns stay columns for scripts.
const None = "<none>"

// Columns that every table has.
var (
	NameColumn = metav1.TableColumnDefinition{
		Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]}
	AgeColumn = metav1.TableColumnDefinition{
		Name: "Age", Type: "string", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]}
)

// Table prints an object, or the items of a list, as the rows that cells makes
// of them. The metadata of a list goes with it: pages and watches need it.
func Table[T runtime.Object](object, tableOptions runtime.Object, columns []metav1.TableColumnDefinition,
	cells func(object T, name, age string) []any) (*metav1.Table, error) {
	table := &metav1.Table{}
	if list, err := meta.ListAccessor(object); err == nil {
		table.ResourceVersion = list.GetResourceVersion()
		table.Continue = list.GetContinue()
		table.RemainingItemCount = list.GetRemainingItemCount()
	} else if common, err := meta.CommonAccessor(object); err == nil {
		table.ResourceVersion = common.GetResourceVersion()
	}
	if options, ok := tableOptions.(*metav1.TableOptions); !ok || !options.NoHeaders {
		table.ColumnDefinitions = columns
	}

	var err error
	table.Rows, err = metatable.MetaToTableRow(object, func(obj runtime.Object, _ metav1.Object, name, age string) ([]any, error) {
		printed, ok := obj.(T)
		if !ok {
			return nil, fmt.Errorf("printing a %T: not a %T", obj, printed)
		}
		return cells(printed, name, age), nil
	})
	return table, err
}

// Condition returns the condition of that type, or an Unknown one.
func Condition(conditions []metav1.Condition, conditionType string) metav1.Condition {
	if condition := meta.FindStatusCondition(conditions, conditionType); condition != nil {
		return *condition
	}
	return metav1.Condition{Type: conditionType, Status: metav1.ConditionUnknown}
}
