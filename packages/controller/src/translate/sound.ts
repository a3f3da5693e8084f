// Messages are made from objects whose fields may have any type where no schema was checked. What
// can't be encoded has to fail at its object's border, not when everything is encoded.
import { clone, create, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf'

/** Like create, but throws at once where a field has a value that its type does not allow. */
export function createSound<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): MessageShape<Desc> {
  return clone(schema, create(schema, init))
}
