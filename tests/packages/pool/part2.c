int part2(void)
{
    return VALUE;
}
