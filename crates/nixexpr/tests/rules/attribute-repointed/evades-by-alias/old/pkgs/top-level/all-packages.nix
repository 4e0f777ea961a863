self:
{
  x = self.x_1;
}
